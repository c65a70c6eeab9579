"""Who a key belongs to, as of now: read on every management call, so a change counts at once."""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_ledger.store import Connection

__all__ = ["ActorRow", "read_actor", "read_operator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRow:
    """A live key with its owner. ``role`` is None for keys of no member."""

    key_id: str
    account_id: str
    org_id: str | None
    member_id: str | None
    user_id: str | None
    role: str | None
    scopes: list[str]
    routing_group: str


async def read_actor(conn: Connection, key_id: str) -> ActorRow | None:
    """The key's owner; None unless key, member, user and organisation are all active."""
    row = await conn.fetchrow(
        """select keys.id as key_id, keys.account_id, keys.org_id, keys.member_id,
                  coalesce(members.user_id, individuals.id) as user_id, members.role,
                  keys.scopes, keys.routing_group
           from api_keys as keys
           left join members on members.id = keys.member_id
           left join orgs on orgs.id = keys.org_id
           left join users as people on people.id = members.user_id
           left join users as individuals on individuals.account_id = keys.account_id
           where keys.id = $1 and keys.status = 'active'
             and coalesce(members.status, 'active') = 'active'
             and coalesce(orgs.status, 'active') = 'active'
             and coalesce(people.status, 'active') = 'active'
             and coalesce(individuals.status, 'active') = 'active'""",
        key_id,
    )
    return None if row is None else ActorRow(**row)


async def read_operator(conn: Connection, token_hash: bytes) -> str | None:
    """The id of the active operator with this token, or None."""
    found: str | None = await conn.fetchval(
        "select id from operators where token_hash = $1 and status = 'active'", token_hash
    )
    return found
