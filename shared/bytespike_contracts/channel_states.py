"""What operators decide about channels at run time, and what routers tell about them.

The ledger writes one field per channel into a Redis hash and broadcasts the change; routers obey
the newest version they have heard of. The other way round each router keeps a report of its own in
a second hash, fresh for seconds. Neither is ever edited: a field is replaced as a whole.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "CHANNEL_HEALTH",
    "CHANNEL_STATES",
    "HEALTH_EVERY_S",
    "HEALTH_TTL_MS",
    "ChannelHealth",
    "ChannelState",
    "RouterHealth",
]

#: Redis hash: channel -> JSON ``ChannelState``. A channel that is not in it was never touched.
CHANNEL_STATES = "bs:channels:states"
#: Redis hash: router -> JSON ``RouterHealth``. Older than the TTL = that router is gone.
CHANNEL_HEALTH = "bs:channels:health"

HEALTH_EVERY_S = 5.0
#: Three reports may be late before a router counts as gone.
HEALTH_TTL_MS = 15_000


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's word on a channel, also as broadcast on ``subjects.CHANNELS_CHANGED``.

    ``version`` grows with every word on this channel; the greatest counts.
    """

    channel: str
    enabled: bool
    version: int


class ChannelHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel as one router sees it. ``state`` is its breaker's word, ``last_error`` the kind
    of the last failed call (empty = none since the router started) and ``last_error_ms`` when that
    was, Unix milliseconds.
    """

    state: str
    in_flight: int = 0
    last_error: str = ""
    last_error_ms: int = 0


class RouterHealth(msgspec.Struct, frozen=True, kw_only=True):
    """All channels of one router's catalogue; ``at_ms`` is its clock, Unix milliseconds."""

    at_ms: int
    channels: dict[str, ChannelHealth]
