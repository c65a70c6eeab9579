"""Which channel a request goes to. Pure: loads, clock and dice are passed in.

The best priority tier with a healthy channel wins. Within it a conversation sticks to one channel,
so that the vendor's prompt cache hits: a hint, overruled as soon as that channel has clearly more
to do than its peers. Otherwise two channels are drawn by weight and the less loaded one is taken.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bytespike_contracts.catalogue import Channel
from bytespike_contracts.money import Rates
from bytespike_protocols.codec import Codec
from bytespike_protocols.ir import Dialect
from bytespike_runtime.http_client import Origin
from bytespike_text.breaker import Breaker

__all__ = ["Lane", "allows_betas", "pick", "prefix_hash", "soonest_return_s", "split_betas"]

#: Enough of a conversation to tell it from others, little enough to hash on every request.
_PREFIX_BYTES = 2_048
#: A cache breakpoint is looked for this far; agents put it after a few tens of KiB of tools.
_BREAKPOINT_WITHIN_BYTES = 65_536
_BREAKPOINT = b'"cache_control"'
#: A sticky channel is left when it has this many times the mean load of its peers, plus some slack
#: so that low traffic never moves a conversation.
_STICKY_OVERLOAD = 2.0
_STICKY_SLACK = 8
#: Until a latency is known all channels are taken to be equally quick.
_UNKNOWN_LATENCY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A channel made ready for calls: address split, credential resolved, cost rates parsed.

    ``id`` is the channel's (from the catalogue: a closed set, so it may be a metric label).
    """

    id: str
    channel: Channel
    dialect: Dialect
    codec: Codec
    origin: Origin
    base_path: str
    auth: tuple[tuple[str, str], ...] = field(repr=False)
    cost_rates: Mapping[str, Rates]
    #: Most tokens an answer may have, by the catalogue's id of the model.
    output_caps: Mapping[str, int]


def pick(
    lanes: Sequence[Lane],
    breakers: Mapping[str, Breaker],
    *,
    dialect: Dialect,
    now: float,
    sticky: Callable[[], bytes],
    dice: Callable[[], float],
) -> Lane | None:
    """The lane for the next call, or None if all are benched or full.

    ``lanes`` are ordered by priority, best first. Within a priority those that speak ``dialect``
    are preferred: what need not be translated is not. ``sticky`` gives the conversation's hash and
    is only asked where there is a choice; ``dice`` gives numbers in [0, 1).
    """
    with_room: list[Lane] = []
    healthy: list[Lane] = []
    for lane in lanes:
        breaker = breakers[lane.id]
        if breaker.in_flight < lane.channel.max_in_flight and breaker.usable(now):
            with_room.append(lane)
            if breaker.healthy(now):
                healthy.append(lane)
    # Nothing healthy: a suspect channel is still better than an error of ours.
    candidates = healthy or with_room
    if not candidates:
        return None
    best = candidates[0].channel.priority
    tier = [lane for lane in candidates if lane.channel.priority == best]
    if len(tier) > 1:
        tier = [lane for lane in tier if lane.dialect is dialect] or tier
    if len(tier) == 1:
        return tier[0]
    favourite = _favourite(tier, sticky())
    if not _overloaded(favourite, tier, breakers):
        return favourite
    return _less_loaded_of_two(tier, breakers, now=now, dice=dice)


def soonest_return_s(
    lanes: Sequence[Lane], breakers: Mapping[str, Breaker], *, now: float
) -> float | None:
    """Seconds until the first of these lanes leaves the bench; None if none is benched."""
    waits = [breakers[lane.id].benched_until - now for lane in lanes]
    return min((wait for wait in waits if wait > 0), default=None)


def prefix_hash(key_id: str, body: bytes) -> bytes:
    """A hash that stays the same while a conversation grows: the key and the body up to its first
    cache breakpoint, or its first 2 KiB.
    """
    end = body.find(_BREAKPOINT, 0, _BREAKPOINT_WITHIN_BYTES)
    prefix = body[: end if end > 0 else _PREFIX_BYTES]
    return hashlib.blake2b(prefix, key=key_id.encode()[:64], digest_size=16).digest()


def allows_betas(channel: Channel, betas: Sequence[str]) -> bool:
    """Whether the channel's vendor takes all of these ``anthropic-beta`` tokens."""
    return "*" in channel.betas or all(beta in channel.betas for beta in betas)


def split_betas(channel: Channel, betas: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """``(kept, dropped)``: the tokens the channel's vendor takes and those it would fail on."""
    if not betas or "*" in channel.betas:
        return tuple(betas), ()
    kept = tuple(beta for beta in betas if beta in channel.betas)
    return kept, tuple(beta for beta in betas if beta not in channel.betas)


def _favourite(tier: Sequence[Lane], conversation: bytes) -> Lane:
    """Weighted rendezvous hashing: each conversation ranks the lanes in its own, stable order, and
    a lane that comes or goes moves only its own share.
    """

    def score(lane: Lane) -> float:
        digest = hashlib.blake2b(lane.id.encode(), key=conversation, digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return -lane.channel.weight / math.log(uniform)

    return max(tier, key=score)


def _overloaded(lane: Lane, tier: Sequence[Lane], breakers: Mapping[str, Breaker]) -> bool:
    own = breakers[lane.id].in_flight
    # Of the others: with the lane itself in it, the mean of a pair could never be passed twofold.
    mean = (sum(breakers[each.id].in_flight for each in tier) - own) / (len(tier) - 1)
    return own > _STICKY_OVERLOAD * mean + _STICKY_SLACK


def _less_loaded_of_two(
    tier: Sequence[Lane],
    breakers: Mapping[str, Breaker],
    *,
    now: float,
    dice: Callable[[], float],
) -> Lane:
    weights = [lane.channel.weight * breakers[lane.id].share(now) for lane in tier]

    def draw(excluded: int) -> int:
        total = sum(weight for n, weight in enumerate(weights) if n != excluded)
        point = dice() * total
        for n, weight in enumerate(weights):
            if n == excluded:
                continue
            point -= weight
            if point < 0:
                return n
        return len(weights) - 1 if excluded != len(weights) - 1 else len(weights) - 2

    def load(n: int) -> float:
        breaker = breakers[tier[n].id]
        latency_s = breaker.latency_s or _UNKNOWN_LATENCY_S
        return (breaker.in_flight + 1) * latency_s / weights[n]

    first = draw(excluded=-1)
    second = draw(excluded=first)
    return tier[min(first, second, key=load)]
