"""API keys: making and changing them, each change in force within a second and on the record.

Whoever asks works in the transaction that is theirs: customers see the rows of their account only.
What is committed there holds the key, the entry of the audit log and the event together.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from msgspec import UNSET, UnsetType

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import key_hash, key_hint, mint_key
from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.actors import Actor, Operator, Permission
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.groups import require_group
from bytespike_ledger.accounts.key_rules import (
    announced,
    check_custom_key,
    check_rank,
    find_visible,
    find_writable,
    own_only,
)
from bytespike_ledger.accounts.key_secrets import keep_secret, kept_secret
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_key
from bytespike_ledger.store import Connection
from bytespike_ledger.store import accounts as account_store
from bytespike_ledger.store import keys as store
from bytespike_ledger.store import secrets as secret_store
from bytespike_ledger.store.keys import DuplicateKey, KeyFilter, KeyRow

__all__ = [
    "ITSELF",
    "NewKey",
    "Once",
    "change_key",
    "create_key",
    "find_key",
    "list_keys",
    "reveal_key",
    "rotate_key",
]

#: Who did it where nobody asked: the ledger.
ITSELF = Operator(id="system", address="local", request_id="")

#: What the audit log shows of a key; never anything of its secret but the hint.
_RECORDED = (
    "name",
    "hint",
    "member_id",
    "status",
    "scopes",
    "routing_group",
    "ip_allow",
    "ip_deny",
    "expires_ms",
    "old_expires_ms",
)
_CAPS = ("quota_uusd", "window_5h_uusd", "window_1d_uusd", "window_7d_uusd")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its new secret. ``secret`` is None only where ``replayed``: the key was made by an
    earlier call, and what it is cannot be read again.
    """

    secret: str | None
    row: KeyRow
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotent creation: the caller's name of it and the SHA-256 of what was asked."""

    name: str
    body_hash: bytes

    @classmethod
    def of(cls, name: str, body: bytes) -> Once:
        """``body`` = the request in its canonical form."""
        return cls(name, hashlib.sha256(body).digest())


async def create_key(
    books: Books,
    catalogue: Catalogue,
    account_id: str,
    *,
    custom_key: str | None,
    controls: Mapping[str, object],
    who: Actor | Operator = ITSELF,
    member_id: str | UnsetType | None = UNSET,
    once: Once | None = None,
) -> NewKey:
    """Mint a key for an account. ``controls`` are columns of ``api_keys``, already checked;
    ``member_id`` UNSET = the caller's own member.

    Raises ``GatewayError``: 404 no such account or member, 400 unusable custom key or unknown
    group, 403 not the caller's to give, 409 the secret is taken or ``once`` was another request.
    """
    check_custom_key(custom_key)
    secret = custom_key or mint_key(secrets.token_bytes(64))
    try:
        async with acting(books, who) as conn:
            made = None if once is None else await _made_before(books, conn, who, account_id, once)
            if made is not None:
                return made
            account = await account_store.read_account(conn, account_id)
            if account is None:
                raise GatewayError(ErrorCode.NOT_FOUND, f"no account {account_id!r}")
            await require_group(conn, catalogue, account_id, str(controls["routing_group"]))
            owner = await _new_owner(conn, who, account_id, member_id, controls)
            values = {
                "id": books.mint("key"),
                "account_id": account_id,
                "org_id": account.org_id,
                "member_id": owner,
                "key_hash": bytes.fromhex(key_hash(secret)),
                "hint": key_hint(secret),
                "creation_key": None if once is None else _scoped(who, once.name),
                "creation_hash": None if once is None else once.body_hash,
                **controls,
            }
            row = await _insert(books, conn, who, values, secret)
    except DuplicateKey as error:
        return await _twin(books, who, account_id, once, error)
    await carry_key(books, row)
    return NewKey(secret, row)


async def change_key(
    books: Books,
    catalogue: Catalogue,
    key_id: str,
    changes: Mapping[str, object],
    *,
    who: Actor | Operator = ITSELF,
) -> KeyRow:
    """Apply column changes (``status`` among them; "deleted" is for good).

    Raises ``GatewayError``: 404 no such key, 400 no such group for this account, 403 not the
    caller's to give.
    """
    async with acting(books, who) as conn:
        before = await find_writable(conn, who, key_id)
        group = str(changes.get("routing_group", before.routing_group))
        # A key that was disabled because its group was taken away must not come back by itself.
        comes_back = before.status != "active" and changes.get("status") == "active"
        if comes_back or group != before.routing_group:
            await require_group(conn, catalogue, before.account_id, group)
        check_rank(who, before.member_role, changes.get("scopes"))
        row = await store.update_key(conn, key_id, changes)
        if row is None:
            _vanished(key_id)
        deleted = row.status == "deleted"
        if deleted:
            await secret_store.delete_secret(conn, key_id)
        await _record_change(
            conn, who, Action.KEY_DELETE if deleted else Action.KEY_UPDATE, before, row
        )
        if before.status == "active" and row.status != "active":
            await _tell_revoked(books, conn, who, row)
    await carry_key(books, row)
    return row


async def rotate_key(
    books: Books, key_id: str, *, overlap_s: int = 0, who: Actor | Operator = ITSELF
) -> NewKey:
    """Give a key a new secret in place; the old one works for ``overlap_s`` more. An overlap that
    was still running ends. Raises ``GatewayError``: 404, 403.
    """
    secret = mint_key(secrets.token_bytes(64))
    async with acting(books, who) as conn:
        before = await find_writable(conn, who, key_id)
        check_rank(who, before.member_role, before.scopes)
        # Not worth it for a key that is refused anyway; and it must not outlive the next enabling.
        overlaps = overlap_s > 0 and before.status == "active"
        row = await store.replace_secret(
            conn,
            before,
            key_hash=bytes.fromhex(key_hash(secret)),
            hint=key_hint(secret),
            old_expires_ms=books.now_ms() + overlap_s * 1000 if overlaps else None,
        )
        if row is None:
            _vanished(key_id)
        await keep_secret(books, conn, row, secret)
        await _record_change(conn, who, Action.KEY_ROTATE, before, row)
    await carry_key(books, row)
    return NewKey(secret, row)


async def reveal_key(
    books: Books, key_id: str, *, who: Actor | Operator = ITSELF
) -> tuple[KeyRow, str]:
    """A key and its secret. Raises ``GatewayError``: 404, 403, 409 it cannot be read here."""
    async with acting(books, who) as conn:
        row = await find_writable(conn, who, key_id)
        check_rank(who, row.member_role, row.scopes)
        secret = await kept_secret(books, conn, row)
        await record(conn, who, Action.KEY_REVEAL, target=row.id, account_id=row.account_id)
    return row, secret


async def find_key(books: Books, key_id: str, *, who: Actor | Operator = ITSELF) -> KeyRow:
    """One key that is not deleted; 404 if there is none that the caller may see."""
    async with acting(books, who) as conn:
        return await find_visible(conn, who, key_id)


async def list_keys(
    books: Books,
    account_id: str,
    *,
    after: str,
    limit: int,
    narrowed: KeyFilter | None = None,
    who: Actor | Operator = ITSELF,
) -> list[KeyRow]:
    """A page of an account's keys, as far as the caller may see them; 404 if there is no such
    account. ``narrowed.of_member`` is set here.
    """
    filters = narrowed or KeyFilter()
    filters = KeyFilter(
        status=filters.status, group=filters.group, search=filters.search, of_member=own_only(who)
    )
    async with acting(books, who) as conn:
        if await account_store.read_account(conn, account_id) is None:
            raise GatewayError(ErrorCode.NOT_FOUND, f"no account {account_id!r}")
        return await store.list_keys(conn, account_id, after=after, limit=limit, narrowed=filters)


async def _insert(
    books: Books,
    conn: Connection,
    who: Actor | Operator,
    values: Mapping[str, object],
    secret: str,
) -> KeyRow:
    await store.insert_key(conn, values)
    row = await store.read_key(conn, str(values["id"]))
    if row is None:
        _vanished(str(values["id"]))
    await keep_secret(books, conn, row, secret)
    await record(
        conn,
        who,
        Action.KEY_CREATE,
        target=row.id,
        account_id=row.account_id,
        after=_recorded(row),
    )
    if row.org_id is not None:
        await emit(
            conn,
            books,
            row.account_id,
            EventType.ORG_KEY_CREATE,
            announced(row),
            member_id=row.member_id,
        )
    return row


async def _new_owner(
    conn: Connection,
    who: Actor | Operator,
    account_id: str,
    member_id: str | UnsetType | None,
    controls: Mapping[str, object],
) -> str | None:
    """Whose key it becomes. Raises ``GatewayError``: 403, or 404 no such active member."""
    own = who.member_id if isinstance(who, Actor) else None
    owner = own if member_id is UNSET else member_id
    if isinstance(who, Actor):
        who.require(Permission.WRITE_OWN_KEYS if owner == own else Permission.WRITE_ALL_KEYS)
    role = None
    if owner is not None:
        role = await store.read_member_role(conn, account_id, owner)
        if role is None:
            raise GatewayError(ErrorCode.NOT_FOUND, f"no member {owner!r}", param="member_id")
    check_rank(who, role, controls["scopes"])
    return owner


async def _made_before(
    books: Books, conn: Connection, who: Actor | Operator, account_id: str, once: Once
) -> NewKey | None:
    """The key that the same creation has made already. Raises ``GatewayError`` 409 if it was
    another one.
    """
    row = await store.read_created(conn, account_id, _scoped(who, once.name))
    if row is None:
        return None
    if row.creation_hash != once.body_hash:
        raise GatewayError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            "this Idempotency-Key was used for another key",
            param="Idempotency-Key",
        )
    try:
        secret = await kept_secret(books, conn, row)
    except GatewayError:
        return NewKey(None, row, replayed=True)
    await record(conn, who, Action.KEY_REVEAL, target=row.id, account_id=account_id)
    return NewKey(secret, row, replayed=True)


async def _twin(
    books: Books,
    who: Actor | Operator,
    account_id: str,
    once: Once | None,
    error: DuplicateKey,
) -> NewKey:
    """A unique value was taken: by the same creation at the same time, or by another key."""
    if once is not None:
        async with acting(books, who) as conn:
            made = await _made_before(books, conn, who, account_id, once)
        if made is not None:
            return made
    raise GatewayError(
        ErrorCode.CONFLICT, "this key is or was in use", param="custom_key"
    ) from error


def _scoped(who: Actor | Operator, name: str) -> str:
    """Members of one account do not meet in each other's names of creations."""
    owner = f"operator:{who.id}" if isinstance(who, Operator) else who.member_id or "account"
    return f"{owner}:{name}"


async def _record_change(
    conn: Connection, who: Actor | Operator, action: Action, before: KeyRow, after: KeyRow
) -> None:
    old, new = _recorded(before), _recorded(after)
    changed = [name for name in new if old[name] != new[name]]
    await record(
        conn,
        who,
        action,
        target=after.id,
        account_id=after.account_id,
        before={name: old[name] for name in changed},
        after={name: new[name] for name in changed},
    )


async def _tell_revoked(books: Books, conn: Connection, who: Actor | Operator, row: KeyRow) -> None:
    if isinstance(who, Operator):
        kind = EventType.KEY_REVOKE
    elif row.org_id is not None:
        kind = EventType.ORG_KEY_REVOKE
    else:
        return  # an individual who revokes a key of their own need not be told
    await emit(conn, books, row.account_id, kind, announced(row), member_id=row.member_id)


def _recorded(row: KeyRow) -> dict[str, object]:
    return {
        **{name: getattr(row, name) for name in _RECORDED},
        **{name: getattr(row.caps, name) for name in _CAPS},
    }


def _vanished(key_id: str) -> NoReturn:
    raise RuntimeError(f"{key_id} was written and is not there")
