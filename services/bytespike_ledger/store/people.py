"""Users and members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from bytespike_ledger.store import Connection
from bytespike_ledger.store.accounts import Tier
from bytespike_ledger.store.changes import Taken

__all__ = [
    "MemberRow",
    "MemberStatus",
    "UserRow",
    "UserStatus",
    "count_members",
    "has_other_owner",
    "insert_member",
    "insert_user",
    "list_members",
    "list_users",
    "member_of_user",
    "memberships",
    "oldest_owner",
    "read_member",
    "read_user",
    "user_of_email",
]

MemberStatus = Literal["active", "disabled", "removed"]
UserStatus = Literal["active", "disabled"]

_MEMBER = """
    select members.*, users.email
    from members join users on users.id = members.user_id
"""
_USER = """
    select users.*, accounts.tier, accounts.concurrency
    from users left join accounts on accounts.id = users.account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A member of an organisation; caps of 0 are none."""

    id: str
    account_id: str
    org_id: str
    user_id: str
    email: str
    name: str
    role: str
    status: MemberStatus
    quota_uusd: int
    window_5h_uusd: int
    window_1d_uusd: int
    window_7d_uusd: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A user; account, tier and concurrency are None unless they are an individual."""

    id: str
    email: str
    name: str
    account_id: str | None
    tier: Tier | None
    concurrency: int | None
    status: UserStatus
    created_at: datetime
    updated_at: datetime


async def user_of_email(conn: Connection, new_id: str, *, email: str, name: str) -> str:
    """The id of the user with this address, made now with ``new_id`` and ``name`` if unknown."""
    found: str = await conn.fetchval("select user_of_email($1, $2, $3)", new_id, email, name)
    return found


async def insert_user(
    conn: Connection, user_id: str, *, email: str, name: str, account_id: str | None
) -> None:
    """A user. Raises :class:`Taken` if the address is somebody's."""
    try:
        await conn.execute(
            "insert into users (id, email, name, account_id) values ($1, $2, $3, $4)",
            user_id,
            email,
            name,
            account_id,
        )
    except asyncpg.UniqueViolationError as error:
        raise Taken from error


async def read_user(conn: Connection, user_id: str, *, lock: bool = False) -> UserRow | None:
    """One user, or None; with ``lock`` nobody else changes them until the transaction ends."""
    last = "for update of users" if lock else ""
    row = await conn.fetchrow(f"{_USER} where users.id = $1 {last}", user_id)
    return None if row is None else UserRow(**row)


async def list_users(
    conn: Connection, *, email: str | None, after: str, limit: int
) -> list[UserRow]:
    """A page of users, oldest first; with ``email`` the one who has it."""
    if email is None:
        rows = await conn.fetch(
            f"{_USER} where users.id > $1 order by users.id limit $2", after, limit
        )
    else:
        rows = await conn.fetch(f"{_USER} where email = $1 and users.id > $2", email, after)
    return [UserRow(**row) for row in rows]


async def memberships(conn: Connection, user_id: str) -> list[tuple[str, str]]:
    """``(account id, member id)`` of all that a user is a member of."""
    rows = await conn.fetch(
        "select account_id, id from members where user_id = $1 and status <> 'removed'",
        user_id,
    )
    return [(row["account_id"], row["id"]) for row in rows]


async def insert_member(conn: Connection, values: Mapping[str, object]) -> None:
    """A member from ``{column: value}``; the names come from code."""
    columns = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await conn.execute(
        f"insert into members ({columns}) values ({places})",  # noqa: S608 - columns come from code
        *values.values(),
    )


async def read_member(conn: Connection, org_id: str, member_id: str) -> MemberRow | None:
    """One member of this organisation, removed ones included, or None."""
    row = await conn.fetchrow(
        f"{_MEMBER} where members.id = $1 and members.org_id = $2", member_id, org_id
    )
    return None if row is None else MemberRow(**row)


async def member_of_user(conn: Connection, org_id: str, user_id: str) -> tuple[str, str] | None:
    """Id and status of what a user is or was to this organisation, or None."""
    row = await conn.fetchrow(
        "select id, status from members where org_id = $1 and user_id = $2", org_id, user_id
    )
    return None if row is None else (row["id"], row["status"])


async def list_members(conn: Connection, org_id: str, *, after: str, limit: int) -> list[MemberRow]:
    """A page of members that are not removed, oldest first."""
    rows = await conn.fetch(
        f"""{_MEMBER} where members.org_id = $1 and members.id > $2
              and members.status <> 'removed'
            order by members.id limit $3""",
        org_id,
        after,
        limit,
    )
    return [MemberRow(**row) for row in rows]


async def count_members(conn: Connection, org_id: str) -> int:
    """How many there are or were."""
    number: int = await conn.fetchval("select count(*) from members where org_id = $1", org_id)
    return number


async def has_other_owner(conn: Connection, org_id: str, member_id: str) -> bool:
    """Whether somebody else could act as owner today."""
    found: bool = await conn.fetchval(
        """select exists (
               select from members join users on users.id = members.user_id
               where members.org_id = $1 and members.id <> $2 and members.role = 'owner'
                 and members.status = 'active' and users.status = 'active'
           )""",
        org_id,
        member_id,
    )
    return found


async def oldest_owner(conn: Connection, org_id: str) -> MemberRow | None:
    """The first of the active owners, or None."""
    row = await conn.fetchrow(
        f"""{_MEMBER} where members.org_id = $1 and role = 'owner' and members.status = 'active'
            order by members.id limit 1""",
        org_id,
    )
    return None if row is None else MemberRow(**row)
