"""Members: who belongs to an organisation, as what, and what they may spend.

Every change locks the organisation first, so of two that are fine alone but not together (two
owners who demote each other) the second one finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.actors import Actor, Operator, Permission, Role
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.changes import CAP_COLUMNS, differing, facts
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.orgs import lock_org, read_org
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_limits
from bytespike_ledger.store import Connection
from bytespike_ledger.store import people as store
from bytespike_ledger.store.actors import read_actor
from bytespike_ledger.store.changes import update_row
from bytespike_ledger.store.keys import KeyRow, touch_keys
from bytespike_ledger.store.people import MemberRow

__all__ = ["add_member", "change_member", "find_member", "list_members", "remove_member"]

#: Removed ones count: their rows stay. More people than this are several organisations.
_MAX_MEMBERS = 10_000

_STANDING = frozenset({"role", "status"})


async def list_members(
    books: Books, who: Actor | Operator, org_id: str, *, after: str, limit: int
) -> list[MemberRow]:
    """A page of members, oldest first; 404 if there is no such organisation."""
    async with acting(books, who) as conn:
        await read_org(conn, org_id)
        return await store.list_members(conn, org_id, after=after, limit=limit)


async def find_member(
    books: Books, who: Actor | Operator, org_id: str, member_id: str
) -> MemberRow:
    """One member who is not removed; 404 if there is none."""
    async with acting(books, who) as conn:
        return await _find(conn, org_id, member_id)


async def add_member(
    books: Books,
    who: Actor | Operator,
    org_id: str,
    *,
    email: str,
    name: str,
    role: Role,
    caps: Mapping[str, int],
) -> MemberRow:
    """Make whoever has this address a member, a known user or not: the answer is the same.
    ``caps`` are columns; those left out are 0.

    Somebody who was removed gets their row back, keys and spend included. Raises ``GatewayError``:
    403 not the caller's to appoint, 404 no such organisation, 409 a member already.
    """
    limits = {**dict.fromkeys(sorted(CAP_COLUMNS), 0), **caps}
    given: dict[str, object] = {"name": name, "role": role.value, "status": "active", **limits}
    async with acting(books, who) as conn:
        org = await lock_org(conn, org_id)
        _check_owners_business(await _today(conn, who), role)
        user_id = await store.user_of_email(conn, books.mint("usr"), email=email, name=name)
        known = await store.member_of_user(conn, org_id, user_id)
        if known is None:
            member_id = books.mint("mem")
            await _check_room(conn, org_id)
            owned = {"account_id": org.account_id, "org_id": org_id, "user_id": user_id}
            await store.insert_member(conn, {"id": member_id, **owned, **given})
        else:
            member_id, status = known
            if status != "removed":
                raise GatewayError(ErrorCode.CONFLICT, "a member already", param="email")
            await update_row(conn, "members", member_id, given)
        member = await _find(conn, org_id, member_id)
        keys = await touch_keys(conn, member.account_id, member_id=member_id)
        now = facts(member, ("email", *given))
        await _record(conn, who, Action.MEMBER_ADD, member, None, now)
        await _tell(conn, books, EventType.MEMBER_ADD, member, now)
    await carry_limits(books, member.account_id, keys)
    return member


async def change_member(
    books: Books,
    who: Actor | Operator,
    org_id: str,
    member_id: str,
    changes: Mapping[str, object],
) -> MemberRow:
    """Apply ``{column: value}``; in force on every edge within a second.

    Raises ``GatewayError``: 403 not the caller's to change, 404 no such member, 409 the last owner.
    """
    keys: list[KeyRow] = []
    async with acting(books, who) as conn:
        await lock_org(conn, org_id)
        who = await _today(conn, who)
        before = await _find(conn, org_id, member_id)
        _check_owners_business(who, before.role, changes.get("role"))
        wanted = differing(before, changes)
        if not wanted:
            return before
        _check_no_own_raise(who, before, wanted)
        await _check_last_owner(conn, before, wanted)
        await update_row(conn, "members", member_id, wanted)
        after = await _read(conn, org_id, member_id)
        if wanted.keys() & (CAP_COLUMNS | _STANDING):
            keys = await touch_keys(conn, before.account_id, member_id=member_id)
        removed = after.status == "removed"
        action = Action.MEMBER_REMOVE if removed else Action.MEMBER_UPDATE
        await _record(conn, who, action, before, facts(before, wanted), facts(after, wanted))
        for kind, columns in _told(after):
            if columns & wanted.keys():
                await _tell(conn, books, kind, after, facts(after, sorted(columns)))
    await carry_limits(books, before.account_id, keys)
    return after


async def remove_member(
    books: Books, who: Actor | Operator, org_id: str, member_id: str
) -> MemberRow:
    """Their keys stop within a second; the row stays for the past. Raises as a change does."""
    return await change_member(books, who, org_id, member_id, {"status": "removed"})


async def _today(conn: Connection, who: Actor | Operator) -> Actor | Operator:
    """The caller as they are now that the organisation is locked: somebody else's change may have
    come first. Raises ``GatewayError`` 401 or 403.
    """
    if not isinstance(who, Actor):
        return who
    row = await read_actor(conn, who.key_id)
    if row is None:
        raise GatewayError(ErrorCode.INVALID_API_KEY, "invalid API key")
    today = replace(who, role=Role.OWNER if row.role is None else Role(row.role))
    today.require(Permission.WRITE_MEMBERS)
    return today


def _told(member: MemberRow) -> list[tuple[EventType, frozenset[str]]]:
    """The events of a change, with the columns they are about. Being disabled is told as a matter
    of role: it decides what a member may do.
    """
    if member.status == "removed":
        return [(EventType.MEMBER_REMOVE, _STANDING)]
    return [(EventType.MEMBER_ROLE, _STANDING), (EventType.MEMBER_ALLOTMENT, CAP_COLUMNS)]


def _check_owners_business(who: Actor | Operator, *roles: object) -> None:
    """Owners are appointed, changed and removed by owners (and operators) alone."""
    if isinstance(who, Actor) and who.role is not Role.OWNER and Role.OWNER.value in roles:
        raise GatewayError(
            ErrorCode.PERMISSION_DENIED, "only owners appoint, change or remove owners"
        )


def _check_no_own_raise(
    who: Actor | Operator, member: MemberRow, wanted: Mapping[str, object]
) -> None:
    """Nobody raises their own limits, except owners, whose money it is. (A role cannot be raised
    by oneself either: whoever may change members and is no owner has only owners above them.)
    """
    if not isinstance(who, Actor) or who.member_id != member.id or who.role is Role.OWNER:
        return
    for column in CAP_COLUMNS & wanted.keys():
        cap_uusd, wanted_uusd = getattr(member, column), wanted[column]
        if cap_uusd and (wanted_uusd == 0 or int(str(wanted_uusd)) > cap_uusd):
            raise GatewayError(ErrorCode.PERMISSION_DENIED, "nobody raises their own limits")


async def _check_last_owner(
    conn: Connection, member: MemberRow, wanted: Mapping[str, object]
) -> None:
    """An organisation that has an owner keeps one."""
    is_owner = (member.role, member.status) == (Role.OWNER.value, "active")
    if not is_owner or not wanted.keys() & _STANDING:
        return
    if not await store.has_other_owner(conn, member.org_id, member.id):
        raise GatewayError(
            ErrorCode.CONFLICT, "the last owner stays: make somebody else an owner first"
        )


async def _check_room(conn: Connection, org_id: str) -> None:
    if await store.count_members(conn, org_id) >= _MAX_MEMBERS:
        raise GatewayError(
            ErrorCode.CONFLICT, f"an organisation has at most {_MAX_MEMBERS} members, past ones too"
        )


async def _record(
    conn: Connection,
    who: Actor | Operator,
    action: Action,
    member: MemberRow,
    before: Mapping[str, object] | None,
    after: Mapping[str, object],
) -> None:
    await record(
        conn,
        who,
        action,
        target=member.id,
        account_id=member.account_id,
        before=before,
        after=after,
    )


async def _tell(
    conn: Connection,
    books: Books,
    kind: EventType,
    member: MemberRow,
    about: Mapping[str, object],
) -> None:
    body = {
        "org_id": member.org_id,
        "member_id": member.id,
        "email": member.email,
        "name": member.name,
        **about,
    }
    await emit(conn, books, member.account_id, kind, body, member_id=member.id)


async def _find(conn: Connection, org_id: str, member_id: str) -> MemberRow:
    member = await _read(conn, org_id, member_id)
    return member if member.status != "removed" else _not_found(member_id)


async def _read(conn: Connection, org_id: str, member_id: str) -> MemberRow:
    return await store.read_member(conn, org_id, member_id) or _not_found(member_id)


def _not_found(member_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no member {member_id!r}")
