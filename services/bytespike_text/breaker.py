"""One channel's health as a pure state machine: closed, open, half-open, and a slow start after.

Two ways to be left out. A *bench* is an order (refused credential, the vendor's Retry-After):
nobody calls until it is over. An *open* breaker is a suspicion (failures in a row): others are
preferred, but a suspect is still better than no channel at all. After either, one probe at a time
is let through, and a success brings the traffic back gradually.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Breaker", "State"]

#: Fewer would open on the ordinary weather of big vendors, more would burn many first attempts.
_FAILURES_TO_OPEN = 5
_OPEN_FIRST_S = 2.0
_OPEN_MAX_S = 60.0
#: A recovered channel takes this long to get its full share (its own caches must warm up too).
_SLOW_START_S = 30.0
_SLOW_START_FLOOR = 0.1
#: Weight of a new sample; a worse one counts fully at once (peak EWMA).
_LATENCY_DECAY = 0.3


class State(StrEnum):
    """Closed set; a metric label."""

    CLOSED = "closed"
    OPEN = "open"
    BENCHED = "benched"
    HALF_OPEN = "half_open"


class Breaker:
    """Health and load of one channel as seen by this process. All times are monotonic seconds."""

    __slots__ = (
        "_failures_in_row",
        "_open_s",
        "_probing",
        "_recovered_at",
        "_suspect",
        "benched_until",
        "in_flight",
        "latency_s",
        "open_until",
    )

    def __init__(self) -> None:
        self.in_flight = 0
        self.latency_s = 0.0
        self.benched_until = 0.0
        self.open_until = 0.0
        self._open_s = _OPEN_FIRST_S
        self._failures_in_row = 0
        self._suspect = False
        self._probing = False
        self._recovered_at = float("-inf")

    def state(self, now: float) -> State:
        """Where the channel stands at ``now``."""
        if now < self.benched_until:
            return State.BENCHED
        if now < self.open_until:
            return State.OPEN
        return State.HALF_OPEN if self._suspect else State.CLOSED

    def healthy(self, now: float) -> bool:
        """Whether traffic may go here on its merits (in half-open, one probe at a time)."""
        state = self.state(now)
        return state is State.CLOSED or (state is State.HALF_OPEN and not self._probing)

    def usable(self, now: float) -> bool:
        """Whether it may be called when nothing healthy is left: anything but a bench."""
        return now >= self.benched_until

    def share(self, now: float) -> float:
        """The part of its weight the channel gets, 0.1 to 1, growing after a recovery."""
        since_s = now - self._recovered_at
        return 1.0 if since_s >= _SLOW_START_S else max(_SLOW_START_FLOOR, since_s / _SLOW_START_S)

    def started(self, now: float) -> None:
        """A call goes out."""
        self.in_flight += 1
        if self.state(now) is State.HALF_OPEN:
            self._probing = True

    def ended(self) -> None:
        """The call is over, however it went; call exactly once for each :meth:`started`."""
        self.in_flight -= 1
        self._probing = False

    def succeeded(self, now: float) -> None:
        """The vendor answered (also with an error that is the caller's own)."""
        if self._suspect:
            self._suspect = False
            self._recovered_at = now
        self._failures_in_row = 0
        self._open_s = _OPEN_FIRST_S

    def failed(self, now: float) -> None:
        """The vendor did not answer, or answered with a failure of its own."""
        self._failures_in_row += 1
        if self._suspect or self._failures_in_row >= _FAILURES_TO_OPEN:
            self._suspect = True
            self.open_until = now + self._open_s
            self._open_s = min(2 * self._open_s, _OPEN_MAX_S)

    def bench(self, until: float) -> None:
        """Leave the channel out until then; a later end than a known one wins."""
        self._suspect = True
        self.benched_until = max(self.benched_until, until)

    def observe_latency(self, first_byte_s: float) -> None:
        """Take a first-byte latency into the moving average."""
        if first_byte_s >= self.latency_s:
            self.latency_s = first_byte_s
        else:
            self.latency_s += _LATENCY_DECAY * (first_byte_s - self.latency_s)
