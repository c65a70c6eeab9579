"""Entries of the audit log."""

from __future__ import annotations

from bytespike_ledger.store import Connection

__all__ = ["insert"]


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
