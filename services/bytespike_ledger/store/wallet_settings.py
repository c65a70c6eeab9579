"""What customers want to be told about their wallets, and which of it is due."""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_ledger.store import Connection

__all__ = ["Crossing", "WalletSettings", "read_settings", "take_crossings", "write_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSettings:
    """Thresholds in micro-USD, 0 = off; ``low_balance_flagged`` = the wallet is below now."""

    low_balance_uusd: int = 0
    low_balance_flagged: bool = False
    auto_top_up_below_uusd: int = 0
    auto_top_up_uusd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A wallet that went below or above one of its thresholds since it was last looked at."""

    account_id: str
    posted_uusd: int
    low_balance_uusd: int
    auto_top_up_below_uusd: int
    auto_top_up_uusd: int
    fell_low: bool
    top_up_due: bool


async def read_settings(conn: Connection, account_id: str) -> WalletSettings:
    """The settings; everything off if none were made."""
    row = await conn.fetchrow(
        """select low_balance_uusd, low_balance_flagged, auto_top_up_below_uusd, auto_top_up_uusd
           from wallet_settings where account_id = $1""",
        account_id,
    )
    return WalletSettings() if row is None else WalletSettings(**row)


async def write_settings(
    conn: Connection, account_id: str, wanted: WalletSettings
) -> WalletSettings:
    """Set the thresholds; the flags are the watch's to set."""
    row = await conn.fetchrow(
        """insert into wallet_settings
               (account_id, low_balance_uusd, auto_top_up_below_uusd, auto_top_up_uusd)
           values ($1, $2, $3, $4)
           on conflict (account_id) do update set
               low_balance_uusd = excluded.low_balance_uusd,
               auto_top_up_below_uusd = excluded.auto_top_up_below_uusd,
               auto_top_up_uusd = excluded.auto_top_up_uusd,
               updated_at = now()
           returning low_balance_uusd, low_balance_flagged, auto_top_up_below_uusd,
                     auto_top_up_uusd""",
        account_id,
        wanted.low_balance_uusd,
        wanted.auto_top_up_below_uusd,
        wanted.auto_top_up_uusd,
    )
    return WalletSettings(**row)


async def take_crossings(conn: Connection, *, limit: int) -> list[Crossing]:
    """Flag wallets that fell below a threshold, unflag those that rose above, and return both.

    Rows another ledger is working on are left to it, so each crossing is taken once.
    """
    rows = await conn.fetch(
        """with crossed as (
               select account_id, posted_uusd, posted_uusd < low_balance_uusd as low,
                      posted_uusd < auto_top_up_below_uusd as due,
                      low_balance_flagged as was_low, auto_top_up_flagged as was_due
               from wallet_settings join balances using (account_id)
               where (posted_uusd < low_balance_uusd) <> low_balance_flagged
                  or (posted_uusd < auto_top_up_below_uusd) <> auto_top_up_flagged
               order by account_id limit $1
               for update of wallet_settings skip locked
           )
           update wallet_settings set low_balance_flagged = low, auto_top_up_flagged = due
           from crossed where wallet_settings.account_id = crossed.account_id
           returning wallet_settings.account_id, posted_uusd, low_balance_uusd,
                     auto_top_up_below_uusd, auto_top_up_uusd, low and not was_low as fell_low,
                     due and not was_due as top_up_due""",
        limit,
    )
    return [Crossing(**row) for row in rows]
