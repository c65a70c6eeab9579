"""What customers want to be told about their wallets, and the loop that tells them."""

from __future__ import annotations

import asyncio

from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.actors import Actor, Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import wallet_settings as store
from bytespike_ledger.store.wallet_settings import Crossing, WalletSettings
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["change_settings", "tell_crossings", "watch_wallets"]

_EVERY_S = 2.0
#: Per turn; more are taken at once in the next one.
_LIMIT = 200

_log = get_logger()


async def change_settings(
    conn: Connection, account_id: str, wanted: WalletSettings, *, who: Actor | Operator
) -> WalletSettings:
    """Set thresholds, inside the caller's transaction. Being above or below one is seen by the
    watch, soon after.
    """
    before = await store.read_settings(conn, account_id)
    after = await store.write_settings(conn, account_id, wanted)
    await record(
        conn,
        who,
        Action.WALLET_SETTINGS,
        target=account_id,
        account_id=account_id,
        before=_facts(before),
        after=_facts(after),
    )
    return after


async def watch_wallets(books: Books) -> None:
    """The loop: one event for each crossing of a threshold, downwards. Runs until cancelled."""
    while True:
        try:
            while await tell_crossings(books) == _LIMIT:
                pass
        except Unavailable as error:
            _log.warning("wallets are not watched now", error=str(error))
        await asyncio.sleep(_EVERY_S)


async def tell_crossings(books: Books) -> int:
    """One turn; how many wallets had crossed a threshold, in either direction."""
    async with connection(books.pool) as conn, conn.transaction():
        crossings = await store.take_crossings(conn, limit=_LIMIT)
        for crossing in crossings:
            await _tell(conn, books, crossing)
    return len(crossings)


async def _tell(conn: Connection, books: Books, crossing: Crossing) -> None:
    balance = {"balance_usd": format_usd(crossing.posted_uusd)}
    if crossing.fell_low:
        body = {**balance, "low_balance_threshold_usd": format_usd(crossing.low_balance_uusd)}
        await emit(conn, books, crossing.account_id, EventType.BALANCE_LOW, body)
    if crossing.top_up_due:
        body = {
            **balance,
            "below_usd": format_usd(crossing.auto_top_up_below_uusd),
            "usd": format_usd(crossing.auto_top_up_uusd),
        }
        await emit(conn, books, crossing.account_id, EventType.AUTO_TOP_UP_DUE, body)


def _facts(settings: WalletSettings) -> dict[str, object]:
    return {
        "low_balance_threshold_usd": format_usd(settings.low_balance_uusd),
        "auto_top_up_below_usd": format_usd(settings.auto_top_up_below_uusd),
        "auto_top_up_usd": format_usd(settings.auto_top_up_uusd),
    }
