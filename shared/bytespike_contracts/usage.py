"""The usage event: what the router (and later the media service) tells the ledger, once per
request.

Version 1 of the wire shape is frozen: fields may be added with a default, never renamed or retyped.
Events travel in batches (one JetStream message carries a JSON array), so a message id identifies a
batch and the request id inside each event identifies the money.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from bytespike_contracts.money import TokenUsage
from bytespike_contracts.settlement import Outcome

__all__ = [
    "Attempt",
    "UsageEvent",
    "decode_batch",
    "encode_batch",
    "encode_event",
    "fingerprint",
    "join_batch",
]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One upstream call: a line of the second book (what the vendor will bill us, whoever pays).

    ``status`` is the vendor's HTTP status, 0 when none arrived. ``cost_uusd`` is priced at the
    channel's own rates; ``estimated`` says that ``usage`` was counted by us because the vendor did
    not get to report it.
    """

    channel: str
    status: int
    duration_ms: int
    cost_uusd: int = 0
    usage: TokenUsage = TokenUsage()
    estimated: bool = False
    error_type: str = ""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one admitted request ended. ``request_id`` is also the id of its hold and of its only
    charge.
    """

    request_id: str
    account_id: str
    key_id: str
    group: str
    model: str
    dialect: str
    price_revision: str
    admitted_ms: int
    finished_ms: int
    status: int
    outcome: Outcome
    hold_uusd: int
    charge_uusd: int
    stream: bool = False
    first_byte_ms: int | None = None
    usage: TokenUsage | None = None
    estimated: bool = False
    error_type: str = ""
    org_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    version: Literal[1] = 1


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[UsageEvent])


def encode_batch(events: list[UsageEvent]) -> bytes:
    """The body of one JetStream message."""
    return _encoder.encode(events)


def encode_event(event: UsageEvent) -> bytes:
    """One event as it stands in a batch."""
    return _encoder.encode(event)


def join_batch(encoded: Iterable[bytes]) -> bytes:
    """The body of one JetStream message from events already encoded: the same bytes as
    :func:`encode_batch` gives.
    """
    return b"[" + b",".join(encoded) + b"]"


def decode_batch(body: bytes) -> list[UsageEvent]:
    """Events of one message. Raises ``msgspec.DecodeError`` (or its ``ValidationError``) on
    anything else.
    """
    return _decoder.decode(body)


def fingerprint(event: UsageEvent) -> bytes:
    """SHA-256 over the whole event: same id, other fingerprint = parked, never applied."""
    return hashlib.sha256(_encoder.encode(event)).digest()
