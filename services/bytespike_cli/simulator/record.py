"""What the simulator was sent, what it sent back, and what it would have billed for it.

Bounded by count and by bytes; the oldest exchange goes first. The invoice is kept apart, so totals
stay right whatever the ring has forgotten.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections import deque
from itertools import accumulate
from typing import Literal

import msgspec

from bytespike_cli.simulator.reply import Reply
from bytespike_contracts.money import TokenUsage

__all__ = ["Exchange", "ExchangeView", "InvoiceLine", "Record", "State"]

State = Literal["open", "completed", "cut", "client_closed"]

MAX_EXCHANGES = 20_000
MAX_RING_BYTES = 256 * 1024 * 1024
#: Of each answer this much is kept; of each request everything (the ring's byte limit bounds it).
MAX_SENT_BYTES = 4 * 1024 * 1024
#: Models on the invoice; more are summed under one name, so a stray client cannot fill memory.
MAX_INVOICE_MODELS = 1_000
_OTHER_MODELS = "(other)"


class ExchangeView(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange as the control API shows it. Bodies are base64; ``body_text`` is for eyes."""

    id: str
    received_ms: int
    method: str
    dialect: str
    path: str
    headers: list[tuple[str, str]]
    model: str
    body: str
    body_text: str
    state: State
    status: int
    sent: str
    sent_bytes: int
    events_sent: int
    events_total: int
    billed: TokenUsage


class InvoiceLine(msgspec.Struct, kw_only=True):
    """What one model's requests add up to."""

    requests: int = 0
    billed_requests: int = 0
    usage: TokenUsage = TokenUsage()


class Exchange:
    """One request and what became of it; the delivery writes into it as it goes."""

    def __init__(
        self,
        *,
        number: int,
        received_ms: int,
        dialect: str,
        target: str,
        headers: list[tuple[str, str]],
    ) -> None:
        self.number = number
        self.dialect = dialect
        self.id = f"sim_{number:08d}"
        self.received_ms = received_ms
        self.target = target
        self.headers = headers
        self.body = b""
        self.model = ""
        self.state: State = "open"
        self.status = 0
        self.sent = bytearray()
        self.sent_bytes = 0
        self._ends: list[int] = []
        self._most: int | None = None
        self._weights: list[int] = []
        self._usage = TokenUsage()

    def answering(self, reply: Reply) -> None:
        """The reply is decided: from here on bytes are counted against its events."""
        self.status = reply.status
        self._usage = reply.usage
        self._ends = list(accumulate(len(frame.data) for frame in reply.frames))
        self._weights = list(accumulate(frame.weight for frame in reply.frames))

    def breaks_after(self, events: int) -> None:
        """What follows so many events is an error: it counts as none of the answer's."""
        self._most = events

    def wrote(self, data: bytes) -> None:
        """These bytes were handed to the socket."""
        self.sent_bytes += len(data)
        self.sent += data[: max(0, MAX_SENT_BYTES - len(self.sent))]

    @property
    def events_sent(self) -> int:
        """Whole events out so far."""
        most = len(self._ends) if self._most is None else min(self._most, len(self._ends))
        return min(bisect_right(self._ends, self.sent_bytes), most)

    def billed(self) -> TokenUsage:
        """What the vendor would bill: nothing for errors or before the first byte, everything for
        a complete answer, input and the output so far for a broken one.
        """
        if self.sent_bytes == 0 or self._usage == TokenUsage():
            return TokenUsage()
        if self.state == "completed":
            return self._usage
        sent = self._weights[self.events_sent - 1] if self.events_sent else 0
        total = self._weights[-1] if self._weights else 0
        output = -(-self._usage.output_tokens * sent // total) if total else 0
        return msgspec.structs.replace(
            self._usage,
            output_tokens=output,
            reasoning_tokens=min(self._usage.reasoning_tokens, output),
        )

    def view(self) -> ExchangeView:
        """As JSON shows it."""
        return ExchangeView(
            id=self.id,
            received_ms=self.received_ms,
            method="POST",
            dialect=self.dialect,
            path=self.target,
            headers=self.headers,
            model=self.model,
            body=base64.b64encode(self.body).decode(),
            body_text=self.body.decode(errors="replace"),
            state=self.state,
            status=self.status,
            sent=base64.b64encode(self.sent).decode(),
            sent_bytes=self.sent_bytes,
            events_sent=self.events_sent,
            events_total=len(self._ends),
            billed=self.billed(),
        )

    @property
    def kept_bytes(self) -> int:
        """Memory this exchange costs the ring."""
        return len(self.body) + len(self.sent)


class Record:
    """The ring of exchanges, newest last, and the invoice."""

    def __init__(self) -> None:
        self._ring: deque[Exchange] = deque()
        self._closed_bytes = 0
        self._number = 0
        self._forgotten = 0  # every exchange up to this number has left the ring
        self._cleared = 0  # ... and up to this one the invoice does not want it
        self.invoice: dict[str, InvoiceLine] = {}

    def open(
        self,
        *,
        received_ms: int,
        target: str,
        headers: list[tuple[str, str]],
        dialect: str = "anthropic",
    ) -> Exchange:
        """A request came in."""
        self._number += 1
        exchange = Exchange(
            number=self._number,
            received_ms=received_ms,
            dialect=dialect,
            target=target,
            headers=headers,
        )
        self._ring.append(exchange)
        if len(self._ring) > MAX_EXCHANGES:
            self._forget_oldest()
        return exchange

    def close(self, exchange: Exchange, state: State) -> None:
        """The exchange is over: bill it."""
        exchange.state = state
        if exchange.number > self._forgotten:
            self._closed_bytes += exchange.kept_bytes
        while self._closed_bytes > MAX_RING_BYTES and len(self._ring) > 1:
            self._forget_oldest()
        if exchange.number > self._cleared:
            self._charge(exchange)

    def _charge(self, exchange: Exchange) -> None:
        known = exchange.model in self.invoice or len(self.invoice) < MAX_INVOICE_MODELS
        line = self.invoice.setdefault(exchange.model if known else _OTHER_MODELS, InvoiceLine())
        billed = exchange.billed()
        line.requests += 1
        line.billed_requests += billed != TokenUsage()
        line.usage = _add(line.usage, billed)

    def latest(self, limit: int, model: str | None = None) -> list[Exchange]:
        """Up to ``limit`` exchanges, newest first."""
        matching = (e for e in reversed(self._ring) if model in (None, e.model))
        return [exchange for exchange, _ in zip(matching, range(limit), strict=False)]

    def clear(self) -> None:
        """Start over. Exchanges still open finish unseen; the invoice begins at zero."""
        self._ring.clear()
        self._closed_bytes = 0
        self._forgotten = self._cleared = self._number
        self.invoice.clear()

    def _forget_oldest(self) -> None:
        oldest = self._ring.popleft()
        self._forgotten = oldest.number
        if oldest.state != "open":
            self._closed_bytes -= oldest.kept_bytes


def _add(left: TokenUsage, right: TokenUsage) -> TokenUsage:
    pairs = zip(msgspec.structs.astuple(left), msgspec.structs.astuple(right), strict=True)
    return TokenUsage(
        **dict(zip(TokenUsage.__struct_fields__, (a + b for a, b in pairs), strict=True))
    )
