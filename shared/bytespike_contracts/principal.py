"""Who a forwarded request belongs to: the one internal header from the edge to the services behind
it.

The edge drops every client credential and sends this instead. It is only believed together with the
internal token both sides were configured with; clients' own copies of these headers are removed at
the edge.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bytespike_contracts.money import Rates

__all__ = [
    "CLIENT_ADDRESS_HEADER",
    "COST_HEADER",
    "INTERNAL_TOKEN_HEADER",
    "PRINCIPAL_HEADER",
    "Grant",
    "Principal",
    "Reading",
    "decode_principal",
    "encode_principal",
]

PRINCIPAL_HEADER = "x-bytespike-principal"
INTERNAL_TOKEN_HEADER = "x-bytespike-internal-token"  # noqa: S105 - the name, not the token
#: Edge -> ledger: the client's address, for the audit log.
CLIENT_ADDRESS_HEADER = "x-bytespike-client-address"
#: Router -> edge on a non-streamed success: the charge in micro-USD, so the edge can report it.
COST_HEADER = "x-bytespike-cost-uusd"


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What admission granted: the hold and everything needed to price and finish it without a
    look-up.

    The hold id is the request id. ``scopes`` are the spend scopes the hold was taken in (see
    ``holds``).
    """

    rates: Rates
    price_revision: str
    hold_uusd: int
    admitted_ms: int
    scopes: tuple[str, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the edge has read in a text request, so that nobody behind it needs to decode it again.

    ``model`` is the catalogue's id and ``called`` the client's spelling of it where it differs.
    ``model_span`` is where the body names the model: the offsets in bytes of the opening quote and
    of what follows the closing one; None where the path names it (Gemini). ``framing`` is how the
    parts of a stream are to be told apart; ``array`` is Gemini's alone. ``text_bytes`` is the body
    less its media: from it tokens are counted where no vendor counts them.
    """

    model: str
    model_span: tuple[int, int] | None
    called: str = ""
    stream: bool = False
    framing: Literal["sse", "array"] = "sse"
    text_bytes: int = 0


class Principal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The authenticated caller of one request; free calls hold nothing and carry no ``grant``,
    calls that name no model no ``reading``.
    """

    request_id: str
    account_id: str
    key_id: str
    group: str
    scopes: tuple[str, ...]
    org_id: str | None = None
    grant: Grant | None = None
    reading: Reading | None = None
    strict: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Principal)


def encode_principal(principal: Principal) -> str:
    """The header value: JSON (ids and slugs are ASCII, so it is a legal header)."""
    return _encoder.encode(principal).decode()


def decode_principal(value: str) -> Principal:
    """Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError`` if ``value`` is not one."""
    return _decoder.decode(value)
