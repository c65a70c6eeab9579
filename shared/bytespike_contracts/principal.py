"""Who a forwarded request belongs to: the one internal header from the edge to the services behind
it.

The edge drops every client credential and sends this instead. It is only believed together with the
internal token both sides were configured with; clients' own copies of these headers are removed at
the edge.
"""

from __future__ import annotations

import msgspec

from bytespike_contracts.money import Rates

__all__ = [
    "COST_HEADER",
    "INTERNAL_TOKEN_HEADER",
    "PRINCIPAL_HEADER",
    "Grant",
    "Principal",
    "decode_principal",
    "encode_principal",
]

PRINCIPAL_HEADER = "x-bytespike-principal"
INTERNAL_TOKEN_HEADER = "x-bytespike-internal-token"  # noqa: S105 - the name, not the token
#: Router -> edge on a non-streamed success: the charge in micro-USD, so the edge can report it.
COST_HEADER = "x-bytespike-cost-uusd"


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What admission granted: the hold and everything needed to price and finish it without a
    look-up.

    The hold id is the request id. ``scopes`` are the spend scopes the hold was taken in (see
    ``holds``).
    """

    model: str
    rates: Rates
    price_revision: str
    hold_uusd: int
    admitted_ms: int
    scopes: tuple[str, ...]


class Principal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The authenticated caller of one request; free calls hold nothing and carry no ``grant``."""

    request_id: str
    account_id: str
    key_id: str
    group: str
    scopes: tuple[str, ...]
    org_id: str | None = None
    grant: Grant | None = None
    strict: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Principal)


def encode_principal(principal: Principal) -> str:
    """The header value: JSON (ids and slugs are ASCII, so it is a legal header)."""
    return _encoder.encode(principal).decode()


def decode_principal(value: str) -> Principal:
    """Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError`` if ``value`` is not one."""
    return _decoder.decode(value)
