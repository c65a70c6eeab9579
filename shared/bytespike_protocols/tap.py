"""What a tap is: it reads along while an answer goes by, and tells what it took and how it ended.

It never changes, delays or keeps a byte of the answer, and what it cannot read counts as not sent.
Content deltas, nearly all of a stream, are not decoded: their text is found by its bytes and only
measured, for the one case in which nobody else counted it (the client left before the vendor
reported usage). Billing reads the tap of the vendor's dialect whether an answer is relayed or
translated, so that it never depends on the path.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Usage
from bytespike_protocols.sse import Frame

__all__ = ["BYTES_PER_TOKEN", "Tap", "TapState", "lenient"]

T = TypeVar("T")

#: Delivered text is counted at this many UTF-8 bytes a token, rounded up. Tokenisers of all vendors
#: make 3 to 4 bytes a token of English and fewer of anything else, so the count is a lower bound:
#: where we must guess, the guess is in the customer's favour.
BYTES_PER_TOKEN = 4


class Tap(Protocol):
    """Reads one answer: either :meth:`feed` every frame of a stream and then :meth:`close`, or
    :meth:`read_message` once.

    ``started``: the vendor has begun an answer. ``finished``: its terminal event, or in dialects
    without one the clean end after a finish reason, or the whole body was seen. ``content_seen``:
    at least one token of content has been delivered. ``error``: what the vendor sent instead of an
    end.
    """

    started: bool
    finished: bool
    content_seen: bool
    error: VendorFailure | None

    @property
    def next_number(self) -> int | None:
        """The number of an event of ours, if it is put in now; None where events have none."""

    @property
    def usage(self) -> Usage | None:
        """What the vendor reported, once it has reported all of it; None until then."""

    @property
    def usage_so_far(self) -> Usage:
        """The best known now: reported numbers, the output counted by us if not reported. The input
        is 0 until it is reported, which most dialects do only at the end.
        """

    @property
    def refused(self) -> bool:
        """Whether the model's safety system declined without delivering any content."""

    def feed(self, frame: Frame) -> None:
        """Take note of one whole frame. Unknown events pass; broken data counts as not sent."""

    def close(self) -> None:
        """The connection has ended cleanly: an answer that says no end of its own ends here."""

    def read_message(self, body: bytes) -> None:
        """Take note of a whole JSON answer. Raises ``BadUpstreamMessage`` unless it is an answer or
        an error object.
        """


class TapState:
    """The part of a tap that is the same in every dialect."""

    __slots__ = ("content_seen", "delivered_bytes", "error", "finished", "started")

    def __init__(self) -> None:
        self.started = False
        self.finished = False
        self.content_seen = False
        self.error: VendorFailure | None = None
        self.delivered_bytes = 0

    @property
    def next_number(self) -> int | None:
        """See :class:`Tap`; only one dialect numbers its events."""
        return None

    @property
    def counted_tokens(self) -> int:
        """The delivered text in tokens, by our own count."""
        return -(-self.delivered_bytes // BYTES_PER_TOKEN)

    def at_least(self, reported: Usage | None) -> Usage:
        """What is known now: the counts reported so far, but no less output than was delivered."""
        known = reported or Usage()
        if known.output_tokens >= self.counted_tokens or (self.finished and reported is not None):
            return known
        return msgspec.structs.replace(known, output_tokens=self.counted_tokens)

    def close(self) -> None:
        """See :class:`Tap`; most dialects say their end themselves."""

    def deliver(self, text: bytes) -> None:
        """Note content as it stands in a JSON string."""
        if text:
            self.content_seen = True
            self.measure(text)

    def measure(self, text: bytes) -> None:
        """Count text as it stands in a JSON string; escapes are counted too low, never too high."""
        size = len(text)
        escapes = text.count(b"\\")
        if escapes:
            # The six bytes of a \\uXXXX are at least two of UTF-8, or one of a control character.
            size -= escapes + 3 * text.count(b"\\u")
        self.delivered_bytes += size


def lenient(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """None for bytes that are not what they should be: a tap must never break the relay."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
