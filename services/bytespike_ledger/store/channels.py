"""What operators decided about channels, and which decisions Redis does not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bytespike_ledger.store import Connection

__all__ = [
    "ChannelRow",
    "SwitchState",
    "all_channels",
    "channels_due",
    "mark_channel_projected",
    "read_channel",
    "upsert_channel",
]

SwitchState = Literal["enabled", "disabled"]
_SELECT = """select channel, state, reason, actor, version, projected_version, changed_at
             from channel_states"""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """An operator's last word on a channel; ``actor`` is the operator's id."""

    channel: str
    state: SwitchState
    reason: str
    actor: str
    version: int
    projected_version: int
    changed_at: datetime


async def upsert_channel(
    conn: Connection, channel: str, *, state: SwitchState, reason: str, actor: str
) -> ChannelRow:
    """Set a channel's state as its next version."""
    row = await conn.fetchrow(
        """insert into channel_states as known (channel, state, reason, actor)
           values ($1, $2, $3, $4)
           on conflict (channel) do update
               set state = excluded.state, reason = excluded.reason, actor = excluded.actor,
                   version = known.version + 1, changed_at = now()
           returning channel, state, reason, actor, version, projected_version, changed_at""",
        channel,
        state,
        reason,
        actor,
    )
    return ChannelRow(**row)


async def read_channel(conn: Connection, channel: str) -> ChannelRow | None:
    """A channel's state for change (its row stays locked until the transaction ends), or None."""
    row = await conn.fetchrow(f"{_SELECT} where channel = $1 for update", channel)
    return None if row is None else ChannelRow(**row)


async def all_channels(conn: Connection) -> list[ChannelRow]:
    """Every channel an operator ever touched: as many as catalogues have named."""
    return [ChannelRow(**row) for row in await conn.fetch(f"{_SELECT} order by channel")]


async def channels_due(conn: Connection) -> Sequence[ChannelRow]:
    """Channels whose last change has not been projected."""
    rows = await conn.fetch(f"{_SELECT} where projected_version < version order by channel")
    return [ChannelRow(**row) for row in rows]


async def mark_channel_projected(conn: Connection, channel: str, version: int) -> None:
    """Redis has this version; a newer one stays due."""
    await conn.execute(
        """update channel_states set projected_version = greatest(projected_version, $2)
           where channel = $1""",
        channel,
        version,
    )
