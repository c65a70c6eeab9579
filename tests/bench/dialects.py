"""The lanes between dialects: each surface relayed to a vendor that speaks it, and translated."""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_protocols.ir import Dialect
from tests.bench.canned import CANNED
from tests.bench.costs import CONCURRENCY, Effort, closed_loop, median, warmed_up
from tests.bench.load import Ask, ask
from tests.bench.report import Row
from tests.bench.rig import Rig

__all__ = ["answers", "streams"]

_NAMES = {
    Dialect.ANTHROPIC: "Messages",
    Dialect.OPENAI_CHAT: "Chat",
    Dialect.OPENAI_RESPONSES: "Responses",
    Dialect.GEMINI: "Gemini",
}
#: The bench's catalogue has one for each dialect.
_MODELS = {
    Dialect.ANTHROPIC: "claude-sonnet-4-5",
    Dialect.OPENAI_CHAT: "gpt-4o-mini",
    Dialect.OPENAI_RESPONSES: "gpt-5-mini",
    Dialect.GEMINI: "gemini-2-5-flash",
}
_TRANSLATED_US, _TRANSLATED_EVENT_US, _TRANSLATED_TO_RELAYED = 300, 45, 3
_STREAM_EVENTS = 300


@dataclass(frozen=True, kw_only=True)
class _Lane:
    """From a client's dialect to a vendor's."""

    client: Dialect
    vendor: Dialect

    @property
    def translated(self) -> bool:
        return self.client is not self.vendor

    def __str__(self) -> str:
        if self.translated:
            return f"translated {_NAMES[self.client]} -> {_NAMES[self.vendor]}"
        return f"relayed {_NAMES[self.client]}"

    def asks(self, *, stream: bool) -> Ask:
        return ask(self.client, model=_MODELS[self.vendor], stream=stream)


_RELAYED = tuple(_Lane(client=dialect, vendor=dialect) for dialect in _NAMES)
_TRANSLATED = tuple(
    _Lane(client=client, vendor=vendor)
    for client, vendor in (
        (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC),
        (Dialect.ANTHROPIC, Dialect.OPENAI_CHAT),
        (Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC),
        (Dialect.GEMINI, Dialect.OPENAI_CHAT),
    )
)
_LANES = (*_RELAYED, *_TRANSLATED)


async def answers(rig: Rig, effort: Effort) -> list[Row]:
    """CPU per call that is not streamed."""
    costs = await _path_us(rig, effort, stream=False, requests=effort.requests // 2)
    return [
        Row(
            measure=f"{lane}, CPU",
            unit="us/req",
            gateway=costs[lane],
            budget=_TRANSLATED_US if lane.translated else None,
        )
        for lane in _LANES
    ]


async def streams(rig: Rig, effort: Effort) -> list[Row]:
    """CPU per event of streams that run as fast as they can, and what translating makes of it."""
    await rig.pace(events=_STREAM_EVENTS, interval_ms=0)
    costs = await _path_us(rig, effort, stream=True, requests=4 * CONCURRENCY)
    per_event = {
        lane: path_us / (_STREAM_EVENTS + CANNED[lane.vendor].frame_events)
        for lane, path_us in costs.items()
    }
    rows = [
        Row(
            measure=f"{lane}, saturated event, CPU",
            unit="us/event",
            gateway=per_event[lane],
            budget=_TRANSLATED_EVENT_US if lane.translated else None,
        )
        for lane in _LANES
    ]
    # Against the relay of the same vendor's stream: the same bytes come in.
    return rows + [
        Row(
            measure=f"{lane}, event against a relayed one",
            unit="times",
            gateway=per_event[lane] / per_event[_Lane(client=lane.vendor, vendor=lane.vendor)],
            budget=_TRANSLATED_TO_RELAYED,
        )
        for lane in _TRANSLATED
    ]


async def _path_us(rig: Rig, effort: Effort, *, stream: bool, requests: int) -> dict[_Lane, float]:
    """Median CPU per request of edge and text-router together; the lanes take turns."""
    rounds: dict[_Lane, list[float]] = {lane: [] for lane in _LANES}
    for lane in _LANES:
        asked = lane.asks(stream=stream)
        await warmed_up(rig, [rig.gateway], asked, requests=requests, concurrency=CONCURRENCY)
    for _ in range(effort.rounds):
        for lane, costs in rounds.items():
            asked = lane.asks(stream=stream)
            cost = await closed_loop(rig, rig.gateway, asked, requests=requests)
            costs.append(cost.path_us)
    return {lane: median(costs) for lane, costs in rounds.items()}
