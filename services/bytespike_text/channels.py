"""The health of all channels, and what the replicas tell each other about it through Redis.

Only benches are shared: a refused credential or a vendor's Retry-After is true for everybody. What
a process merely suspects (its breaker) stays its own. Without Redis each replica finds out by
itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping

from bytespike_contracts.channel_states import ChannelHealth
from bytespike_runtime.kv import KvError, KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_text.attempts import Failure, FailureKind
from bytespike_text.breaker import Breaker, State

__all__ = ["Channels"]

#: A bench set elsewhere is known here within this time.
_POLL_S = 1.0

_log = get_logger()


class Channels(Mapping[str, Breaker]):
    """A breaker per channel of the catalogue, by id; survives reloads of the catalogue."""

    def __init__(self, pipe: ScriptPipe, *, bench_s: float) -> None:
        self._pipe = pipe
        self._bench_s = bench_s
        self._breakers: dict[str, Breaker] = {}
        self._current: frozenset[str] = frozenset()
        self._unshared: list[tuple[str, float]] = []
        #: Kind and Unix milliseconds of the last failed call, per channel that had one.
        self._last_failures: dict[str, tuple[FailureKind, int]] = {}

    def __getitem__(self, channel_id: str) -> Breaker:
        return self._breakers[channel_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._breakers)

    def __len__(self) -> int:
        return len(self._breakers)

    def know(self, channel_ids: Iterable[str]) -> None:
        """These channels exist now. Breakers of others stay, since requests that began under an
        older catalogue still use them; operators do not name channels without end.
        """
        self._current = frozenset(channel_ids)
        for name in self._current:
            self._breakers.setdefault(name, Breaker())

    def note_failure(self, channel_id: str, failure: Failure) -> None:
        """Draw the conclusions from a failed call."""
        if failure.stale_connection:
            return
        self._last_failures[channel_id] = (failure.kind, time.time_ns() // 1_000_000)
        self._breakers[channel_id].failed(time.monotonic())
        if failure.kind is FailureKind.CREDENTIAL_REFUSED:
            self._bench(channel_id, self._bench_s, failure)
        elif failure.retry_after_s is not None:
            self._bench(channel_id, failure.retry_after_s, failure)

    def states(self) -> dict[str, State]:
        """Where each channel stands, for the metrics."""
        now = time.monotonic()
        return {name: self._breakers[name].state(now) for name in sorted(self._current)}

    def health(self) -> dict[str, ChannelHealth]:
        """Each channel for the operators' eyes."""
        found = {}
        for name, state in self.states().items():
            kind, at_ms = self._last_failures.get(name, ("", 0))
            found[name] = ChannelHealth(
                state=state.value,
                in_flight=self._breakers[name].in_flight,
                last_error=str(kind),
                last_error_ms=at_ms,
            )
        return found

    async def run(self) -> None:
        """Exchange benches with the other replicas. Runs until cancelled."""
        while True:
            await asyncio.sleep(_POLL_S)
            try:
                await self._share()
                await self._learn()
            except* KvUnavailable:
                pass  # the next round comes in a second
            except* KvError as errors:
                _log.error("benched channels cannot be shared", error=str(errors.exceptions[0]))

    def _bench(self, channel_id: str, for_s: float, failure: Failure) -> None:
        self._breakers[channel_id].bench(time.monotonic() + for_s)
        self._unshared.append((channel_id, for_s))
        # At most one per channel is worth telling each second.
        self._unshared = list(dict(self._unshared).items())
        _log.warning(
            "channel benched",
            channel=channel_id,
            reason=failure.kind.value,
            status=failure.status,
            for_s=round(for_s, 3),
        )

    async def _share(self) -> None:
        unshared, self._unshared = self._unshared, []
        for channel_id, for_s in unshared:
            ttl_ms = max(1, round(for_s * 1000))
            await self._pipe.command("SET", _bench_name(channel_id), "1", "PX", ttl_ms)

    async def _learn(self) -> None:
        known = {name: self._breakers[name] for name in self._current}
        async with asyncio.TaskGroup() as group:
            asked = {
                name: group.create_task(self._pipe.command("PTTL", _bench_name(name)))
                for name in known
            }
        for name, breaker in known.items():
            left_ms = asked[name].result()
            if left_ms > 0:
                breaker.bench(time.monotonic() + left_ms / 1000)


def _bench_name(channel_id: str) -> str:
    """Redis name of a bench; it exists as long as the bench lasts."""
    return f"bs:bench:{channel_id}"
