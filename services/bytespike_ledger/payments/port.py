"""What the ledger needs of a payment provider, in words no provider owns.

An adapter turns these into its provider's calls and its provider's reports into these; it decides
nothing about money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

__all__ = [
    "BadEvent",
    "Checkout",
    "CheckoutOrder",
    "Paid",
    "PaymentFailed",
    "PaymentProvider",
    "ProviderEvent",
    "Receipt",
    "Refunded",
    "UnknownEvent",
]


class BadEvent(Exception):
    """A report that is not the provider's, or not readable; the message is fit for the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutOrder:
    """Somebody wants to pay. ``payment_id`` is our name of the payment and comes back in reports;
    the same order again opens no second checkout.
    """

    payment_id: str
    account_id: str
    amount_uusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Where to pay: the provider's name of the payment, and the page."""

    provider_ref: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A payment that has arrived. ``provider_ref`` is the provider's name of it, ``receipt_id``
    what refunds will name it by, ``method`` how it was paid.
    """

    provider: str
    provider_ref: str
    receipt_id: str | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The money is here."""

    receipt: Receipt
    payment_id: str | None
    amount_uusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed:
    """The money will not come."""

    provider_ref: str
    payment_id: str | None
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded:
    """The provider has given ``total_uusd`` of the payment back so far, all refunds together."""

    receipt_id: str
    payment_id: str | None
    total_uusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """A report that says nothing about money of ours; ``reason`` for the log."""

    reason: Literal["kind", "currency", "state", "amount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """One report: its id (each is taken once), the provider's word for its kind, its meaning."""

    id: str
    kind: str
    says: Paid | PaymentFailed | Refunded | UnknownEvent


class PaymentProvider(Protocol):
    """A provider that customers pay through by themselves."""

    @property
    def name(self) -> str:
        """As in paths and in the books."""

    async def open_checkout(self, order: CheckoutOrder) -> Checkout:
        """Open a page to pay on. Raises ``GatewayError`` 502 (it refused us, or answered nonsense)
        or 503 (it is away; trying again is right).
        """

    def read_event(self, body: bytes, headers: Mapping[str, str], *, now_ms: int) -> ProviderEvent:
        """A report, believed because it is signed. Raises :class:`BadEvent`."""
