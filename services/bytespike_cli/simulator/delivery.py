"""Sending a reply the way its faults say: when, in which pieces, and how it breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aiohttp import web

from bytespike_cli.simulator.faults import Faults, Pause
from bytespike_cli.simulator.record import Exchange
from bytespike_cli.simulator.reply import Frame, Reply

__all__ = ["Cut", "Hold", "HoldExpired", "Holds", "Send", "Step", "Wait", "deliver", "drop", "plan"]

#: A hold nobody releases ends here, so that a failed test leaves nothing hanging for ever.
MAX_HOLD_S = 120.0
#: More names than any test run uses; beyond it a hold is refused rather than kept.
MAX_HOLDS = 10_000


class Send(NamedTuple):
    """Write these bytes at once."""

    data: bytes


class Wait(NamedTuple):
    """Let time pass."""

    seconds: float


class Hold(NamedTuple):
    """Wait until a test releases the name."""

    name: str


class Cut(NamedTuple):
    """Close the connection without an end."""


Step = Send | Wait | Hold | Cut


class HoldExpired(Exception):
    """Nobody released the hold in time."""


class Holds:
    """Named gates: requests wait at them until a test opens them; an opened gate stays open."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, int] = {}

    async def wait(self, name: str) -> None:
        """Wait for ``name``. Raises :class:`HoldExpired`."""
        if name not in self._gates and len(self._gates) >= MAX_HOLDS:
            raise HoldExpired
        gate = self._gates.setdefault(name, asyncio.Event())
        self._waiting[name] = self._waiting.get(name, 0) + 1
        try:
            async with asyncio.timeout(MAX_HOLD_S):
                await gate.wait()
        except TimeoutError as error:
            raise HoldExpired from error
        finally:
            self._waiting[name] -= 1

    def release(self, name: str) -> int:
        """Open a gate; returns how many were waiting."""
        self._gates.setdefault(name, asyncio.Event()).set()
        return self._waiting.get(name, 0)

    def waiting(self) -> dict[str, int]:
        """How many wait at each gate."""
        return dict(self._waiting)

    def clear(self) -> None:
        """Open every gate and forget it."""
        for gate in self._gates.values():
            gate.set()
        self._gates.clear()
        self._waiting = {name: count for name, count in self._waiting.items() if count}


def plan(reply: Reply, faults: Faults) -> Iterator[Step]:
    """The steps after the response head, in order."""
    frames, cut = list(reply.frames), False
    if faults.error_event_after is not None and reply.streamed:
        sent = frames[: faults.error_event_after]
        frames = [*sent, *reply.error_after(len(sent))]
    if faults.cut_after is not None:
        cut = True
        frames = frames[: faults.cut_after] if reply.streamed else [_first_half(frames[0])]
    steps: Iterable[Step] = _paused(frames, faults, streamed=reply.streamed)
    if faults.cut_bytes is not None:
        steps, cut = _limited(steps, faults.cut_bytes), True
    if faults.split:
        steps = _split(steps, faults.split)
    for step in steps:
        yield step
        if faults.slow_ms and isinstance(step, Send):
            yield Wait(faults.slow_ms / 1000)
    if cut:
        yield Cut()


def _first_half(body: Frame) -> Frame:
    return Frame(body.data[: len(body.data) // 2], body.weight)


def _paused(frames: list[Frame], faults: Faults, *, streamed: bool) -> Iterator[Step]:
    """Frames with the waits and holds between them; one that lies behind the end comes last."""
    pauses = [pause for pause in (faults.stall_after, faults.hold_after) if pause is not None]
    pieces = [frame.data for frame in frames]
    if pauses and not streamed:
        pieces = [pieces[0][:1], pieces[0][1:]]
    for at, piece in enumerate(pieces):
        yield from _pauses_at(pauses, at)
        yield Send(piece)
    for pause in pauses:
        if pause.after_events >= len(pieces):
            yield _step(pause)


def _pauses_at(pauses: list[Pause], at: int) -> Iterator[Step]:
    for pause in pauses:
        if pause.after_events == at:
            yield _step(pause)


def _step(pause: Pause) -> Step:
    return Hold(pause.value) if isinstance(pause.value, str) else Wait(pause.value)


def _limited(steps: Iterable[Step], limit: int) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Send):
            yield step
            continue
        if limit > 0:
            yield Send(step.data[:limit])
        limit -= len(step.data)
        if limit <= 0:
            return


def _split(steps: Iterable[Step], size: int) -> Iterator[Step]:
    """Re-cut the bytes between two pauses into pieces of ``size``, across event borders."""
    held = bytearray()
    for step in steps:
        if isinstance(step, Send):
            held += step.data
            continue
        yield from _cut_up(held, size)
        held.clear()
        yield step
    yield from _cut_up(held, size)


def _cut_up(data: bytearray, size: int) -> Iterator[Step]:
    for at in range(0, len(data), size):
        yield Send(bytes(data[at : at + size]))


async def deliver(
    request: web.Request, exchange: Exchange, reply: Reply, faults: Faults, holds: Holds
) -> web.StreamResponse:
    """Write the reply; returns once the last byte is handed over or the connection is cut.

    Raises ``ConnectionError`` or is cancelled when the client leaves, :class:`HoldExpired` when a
    hold in the middle is never released.
    """
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.streamed and faults.error_event_after is not None:
        exchange.breaks_after(faults.error_event_after)
    if not reply.streamed:
        response.content_length = sum(len(frame.data) for frame in reply.frames)
    await response.prepare(request)
    for step in plan(reply, faults):
        match step:
            case Send(data):
                await response.write(data)
                exchange.wrote(data)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Hold(name):
                await holds.wait(name)
            case Cut():
                drop(request)
                return response
    await response.write_eof()
    return response


def drop(request: web.Request) -> None:
    """Close the connection: what is written still goes out, nothing after it does."""
    if request.transport is not None:
        request.transport.close()
