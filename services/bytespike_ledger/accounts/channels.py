"""Channels at run time: switched by operators above what the catalogue says, and how they fare."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bytespike_contracts.catalogue import Catalogue, Channel
from bytespike_contracts.channel_states import RouterHealth
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_channel
from bytespike_ledger.store import channels as store
from bytespike_ledger.store import connection
from bytespike_ledger.store.channels import ChannelRow, SwitchState
from bytespike_runtime.kv import KvUnavailable

__all__ = ["ChannelView", "router_reports", "switch_channel", "view_channels"]


@dataclass(frozen=True, kw_only=True)
class ChannelView:
    """A channel of the catalogue with the operators' last word on it, if there is one."""

    channel: Channel
    row: ChannelRow | None

    @property
    def enabled(self) -> bool:
        """Whether it gets new calls as far as catalogue and operators are concerned."""
        return self.channel.enabled and (self.row is None or self.row.state == "enabled")


async def view_channels(books: Books, catalogue: Catalogue) -> list[ChannelView]:
    """Every channel of the catalogue, in its order."""
    async with connection(books.pool) as conn:
        rows = {row.channel: row for row in await store.all_channels(conn)}
    return [
        ChannelView(channel=channel, row=rows.get(channel.id))
        for channel in catalogue.channels.values()
    ]


async def router_reports(books: Books) -> dict[str, RouterHealth] | None:
    """Fresh reports by router; None if Redis cannot be asked now."""
    try:
        return await books.projector.router_reports()
    except KvUnavailable:
        return None


async def switch_channel(
    books: Books,
    catalogue: Catalogue,
    who: Operator,
    channel_id: str,
    *,
    state: SwitchState,
    reason: str,
) -> ChannelView:
    """Put an operator's word in force on every router. 404 if the catalogue has no such channel.

    The last channel of a model may go as well: its requests are then refused as if all its vendors
    were down. Saying the same again changes nothing.
    """
    channel = catalogue.channels.get(channel_id)
    if channel is None:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no channel {channel_id[:64]!r}")
    async with connection(books.pool) as conn, conn.transaction():
        before = await store.read_channel(conn, channel_id)
        if before is not None and (before.state, before.reason) == (state, reason):
            return ChannelView(channel=channel, row=before)
        row = await store.upsert_channel(conn, channel_id, state=state, reason=reason, actor=who.id)
        await record(
            conn,
            who,
            Action.CHANNEL_STATE,
            target=channel_id,
            before=None if before is None else {"state": before.state, "reason": before.reason},
            after={"state": state, "reason": reason},
        )
    if await carry_channel(books, row):
        row = replace(row, projected_version=row.version)
    return ChannelView(channel=channel, row=row)
