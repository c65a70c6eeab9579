"""Bringing sealed secrets under the current encryption key, some at a time."""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.books import Books
from bytespike_ledger.sealing import BrokenSeal, UnknownKek
from bytespike_ledger.store import connection
from bytespike_ledger.store import secrets as store
from bytespike_runtime.logs import get_logger

__all__ = ["Rewrapped", "rewrap_secrets"]

_log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrapped:
    """One batch. ``remaining`` counts all secrets that are not under ``kek_id``; ``failed`` of this
    batch could not be opened; ``next_cursor`` is None when the last one has been looked at.
    """

    kek_id: str
    rewrapped: int
    failed: int
    remaining: int
    next_cursor: str | None


async def rewrap_secrets(books: Books, who: Operator, *, after: str, limit: int) -> Rewrapped:
    """Wrap the data keys of up to ``limit`` secrets anew; the sealed texts are not touched. Raises
    ``GatewayError`` 409 where no encryption key is configured.
    """
    if not books.sealer.enabled:
        raise GatewayError(ErrorCode.REVEAL_DISABLED, "no encryption key is configured")
    kek_id = books.sealer.current_kek_id
    async with connection(books.pool) as conn, conn.transaction():
        stale = await store.stale_secrets(conn, kek_id, after=after, limit=limit)
        failed = 0
        for secret in stale:
            try:
                anew = books.sealer.rewrap(secret.purpose, secret.owner_id, secret.sealed)
            except (UnknownKek, BrokenSeal) as error:
                failed += 1
                _log.warning(
                    "a sealed secret cannot be wrapped anew",
                    owner_id=secret.owner_id,
                    kek_id=secret.sealed.kek_id,
                    reason=type(error).__name__,
                )
                continue
            await store.rewrap_secret(conn, secret.owner_id, anew)
        rewrapped = len(stale) - failed
        if rewrapped:
            await record(
                conn, who, Action.SECRETS_REWRAP, target=kek_id, after={"rewrapped": rewrapped}
            )
        remaining = await store.stale_count(conn, kek_id)
    return Rewrapped(
        kek_id=kek_id,
        rewrapped=rewrapped,
        failed=failed,
        remaining=remaining,
        next_cursor=stale[-1].owner_id if len(stale) == limit else None,
    )
