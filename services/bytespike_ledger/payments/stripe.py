"""Stripe: checkout sessions by its HTTP API, and its signed events.

No SDK: it is one form POST and one HMAC. Shapes are those of API version 2025 and before, which
agree in everything read here; fields not read may come and go.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import UUSD_PER_USD
from bytespike_ledger.payments.port import (
    BadEvent,
    Checkout,
    CheckoutOrder,
    Paid,
    PaymentFailed,
    ProviderEvent,
    Receipt,
    Refunded,
    UnknownEvent,
)
from bytespike_runtime.http_client import ClientError, HttpClient, Origin
from bytespike_runtime.logs import get_logger
from bytespike_runtime.settings import Secret

__all__ = ["StripePayments", "verify_signature"]

_NAME = "stripe"
_SIGNATURE_HEADER = "stripe-signature"
#: How far the time of a signature may be from ours, either way; Stripe's own libraries allow as
#: much for the past.
_TOLERANCE_MS = 300_000
#: A header of Stripe's has one signature per secret being rolled over; more is somebody's attempt.
_MAX_SIGNATURES = 16
_UUSD_PER_CENT = UUSD_PER_USD // 100
_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 20.0
_LARGEST_ANSWER_BYTES = 262_144
_RETRY_AFTER = {"retry-after": "5"}

_log = get_logger()


class _Session(msgspec.Struct):
    id: str
    url: str


class _Object(msgspec.Struct):
    """What is read of a checkout session or a charge."""

    id: str
    amount_total: int | None = None
    amount_refunded: int | None = None
    currency: str | None = None
    payment_status: str | None = None
    payment_intent: str | None = None
    client_reference_id: str | None = None
    payment_method_types: list[str] = []
    metadata: dict[str, str] | None = None


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    data: _Data


class StripePayments:
    """The adapter. ``base_url`` is Stripe's, or a test's; ``return_url`` is where customers come
    back to after paying or giving up.
    """

    name = _NAME

    def __init__(
        self,
        client: HttpClient,
        *,
        api_key: Secret,
        webhook_secret: Secret,
        base_url: str,
        return_url: str,
    ) -> None:
        self._client = client
        self._api_key = api_key
        self._webhook_secret = webhook_secret
        self._origin, self._base_path = Origin.parse(base_url)
        self._return_url = return_url

    async def open_checkout(self, order: CheckoutOrder) -> Checkout:
        """See the port."""
        headers = [
            ("authorization", f"Bearer {self._api_key.reveal()}"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("idempotency-key", order.payment_id),
            ("accept", "application/json"),
        ]
        try:
            response = await self._client.request(
                "POST",
                self._origin,
                self._base_path.rstrip("/") + "/v1/checkout/sessions",
                headers,
                urlencode(self._form(order)).encode(),
                connect_timeout_s=_CONNECT_TIMEOUT_S,
                first_byte_timeout_s=_ANSWER_TIMEOUT_S,
            )
            answer = await response.read(
                limit_bytes=_LARGEST_ANSWER_BYTES, idle_timeout_s=_ANSWER_TIMEOUT_S
            )
        except ClientError as error:
            _log.warning("payment provider away", provider=_NAME, error=str(error))
            raise _away() from error
        return _checkout(response.status, answer)

    def read_event(self, body: bytes, headers: Mapping[str, str], *, now_ms: int) -> ProviderEvent:
        """See the port."""
        verify_signature(
            body, headers.get(_SIGNATURE_HEADER, ""), self._webhook_secret.reveal(), now_ms=now_ms
        )
        try:
            event = msgspec.json.decode(body, type=_Event)
            says = _meaning(event)
        except msgspec.DecodeError as error:
            raise BadEvent("not an event") from error
        return ProviderEvent(id=event.id, kind=event.type, says=says)

    def _form(self, order: CheckoutOrder) -> dict[str, str]:
        return {
            "mode": "payment",
            "client_reference_id": order.payment_id,
            "success_url": self._return_url,
            "cancel_url": self._return_url,
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "usd",
            # Whole cents: what customers can buy is checked before.
            "line_items[0][price_data][unit_amount]": str(order.amount_uusd // _UUSD_PER_CENT),
            "line_items[0][price_data][product_data][name]": "ByteSpike credits",
            # Charges inherit these, so that a refund finds its payment whatever came first.
            "payment_intent_data[metadata][payment_id]": order.payment_id,
            "metadata[payment_id]": order.payment_id,
            "metadata[account_id]": order.account_id,
        }


def verify_signature(body: bytes, header: str, secret: str, *, now_ms: int) -> None:
    """Check ``t=<Unix seconds>,v1=<hex>[,v1=<hex>…]``. Raises :class:`BadEvent`.

    The signature is the HMAC-SHA256 of ``<t>.<body>``; one right one of several is enough.
    """
    pairs = [part.strip().partition("=") for part in header.split(",")[: _MAX_SIGNATURES + 1]]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise BadEvent("no usable signature")
    expected = hmac.new(secret.encode(), f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest()
    # Every candidate is compared, each in constant time.
    matches = [hmac.compare_digest(expected.encode(), candidate.encode()) for candidate in given]
    if not any(matches):
        raise BadEvent("no usable signature")
    if abs(now_ms - int(times[0]) * 1000) > _TOLERANCE_MS:
        raise BadEvent("the signature is too old or from the future")


def _checkout(status: int, answer: bytes) -> Checkout:
    if status == 429 or status >= 500:
        raise _away()
    if not 200 <= status < 300:
        # A refusal is about our account or our request, never about the customer.
        _log.error("payment provider refused a checkout", provider=_NAME, status=status)
        raise GatewayError(ErrorCode.BAD_UPSTREAM, "the payment provider refused the checkout")
    try:
        session = msgspec.json.decode(answer, type=_Session)
    except msgspec.DecodeError as error:
        raise GatewayError(
            ErrorCode.BAD_UPSTREAM, "the payment provider's answer is not usable"
        ) from error
    return Checkout(provider_ref=session.id, url=session.url)


def _away() -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_UNAVAILABLE,
        "the payment provider is not available now",
        headers=_RETRY_AFTER,
    )


def _meaning(event: _Event) -> Paid | PaymentFailed | Refunded | UnknownEvent:
    match event.type:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            return _paid(_read(event))
        case "checkout.session.async_payment_failed" | "checkout.session.expired":
            thing = _read(event)
            return PaymentFailed(
                provider_ref=thing.id,
                payment_id=_payment_id(thing),
                failure=event.type.rpartition(".")[2],
            )
        case "charge.refunded":
            return _refunded(_read(event))
    return UnknownEvent(reason="kind")


def _read(event: _Event) -> _Object:
    return msgspec.json.decode(event.data.object, type=_Object)


def _paid(session: _Object) -> Paid | UnknownEvent:
    if session.payment_status != "paid":
        return UnknownEvent(reason="state")  # a slow method: success or failure comes later
    if session.currency != "usd":
        return UnknownEvent(reason="currency")
    if session.amount_total is None or session.amount_total <= 0:
        return UnknownEvent(reason="amount")
    methods = session.payment_method_types
    return Paid(
        receipt=Receipt(
            provider=_NAME,
            provider_ref=session.id,
            receipt_id=session.payment_intent,
            # Of several offered, which one was used is not in the session.
            method=methods[0] if len(methods) == 1 else None,
        ),
        payment_id=_payment_id(session),
        amount_uusd=session.amount_total * _UUSD_PER_CENT,
    )


def _refunded(charge: _Object) -> Refunded | UnknownEvent:
    if charge.currency != "usd":
        return UnknownEvent(reason="currency")
    if charge.amount_refunded is None or charge.amount_refunded <= 0:
        return UnknownEvent(reason="amount")
    return Refunded(
        receipt_id=charge.payment_intent or charge.id,
        payment_id=_payment_id(charge),
        total_uusd=charge.amount_refunded * _UUSD_PER_CENT,
    )


def _payment_id(thing: _Object) -> str | None:
    return thing.client_reference_id or (thing.metadata or {}).get("payment_id")
