"""Entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bytespike_ledger.store import Connection

__all__ = ["AuditLogFilter", "AuditLogRow", "insert", "list_entries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogFilter:
    """What is wanted; None = whatever. ``since_ms`` is inclusive, ``until_ms`` exclusive; entries
    older than the one with the id ``before``.
    """

    actor: str | None = None
    action: str | None = None
    account_id: str | None = None
    target: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogRow:
    """An entry; ``before`` and ``after`` are JSON texts."""

    id: int
    at: datetime
    actor: str
    address: str
    request_id: str
    action: str
    account_id: str | None
    target: str
    before: str | None
    after: str | None


async def insert(  # noqa: PLR0913 - one argument per column
    conn: Connection,
    *,
    actor: str,
    address: str,
    request_id: str,
    action: str,
    account_id: str | None,
    target: str,
    before: str | None,
    after: str | None,
) -> None:
    """One entry; ``before`` and ``after`` are JSON texts."""
    await conn.execute(
        """insert into audit_log
               (actor, address, request_id, action, account_id, target, before, after)
           values ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb)""",
        actor,
        address,
        request_id,
        action,
        account_id,
        target,
        before,
        after,
    )


async def list_entries(
    conn: Connection, wanted: AuditLogFilter, *, limit: int
) -> list[AuditLogRow]:
    """A page, newest first."""
    conditions = {
        "actor = ${}": wanted.actor,
        "action = ${}": wanted.action,
        "account_id = ${}": wanted.account_id,
        "target = ${}": wanted.target,
        "at >= to_timestamp(${}::bigint / 1000.0)": wanted.since_ms,
        "at < to_timestamp(${}::bigint / 1000.0)": wanted.until_ms,
        "id < ${}": wanted.before,
    }
    asked = [(text, value) for text, value in conditions.items() if value is not None]
    where = " and ".join(text.format(number) for number, (text, _) in enumerate(asked, 2))
    rows = await conn.fetch(
        f"select * from audit_log where {where or 'true'} order by id desc limit $1",  # noqa: S608
        limit,
        *(value for _, value in asked),
    )
    return [AuditLogRow(**row) for row in rows]
