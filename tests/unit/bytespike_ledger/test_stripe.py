"""Stripe's signatures, checked as its own package checks them, and what its events mean."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from bytespike_ledger.payments.port import (
    BadEvent,
    Paid,
    PaymentFailed,
    Receipt,
    Refunded,
    UnknownEvent,
)
from bytespike_ledger.payments.stripe import StripePayments, verify_signature
from bytespike_runtime.http_client import HttpClient
from bytespike_runtime.settings import Secret
from tests.support.stripe import API_KEY, EVENTS, WEBHOOK_SECRET, event, signed

BODY = event("charge.refunded")
NOW_S = 1_798_761_600


def provider() -> StripePayments:
    return StripePayments(
        HttpClient(),
        api_key=Secret(API_KEY),
        webhook_secret=Secret(WEBHOOK_SECRET),
        base_url="https://api.stripe.com",
        return_url="https://console.example.com",
    )


def accepts(body: bytes, header: str, *, now_s: int = NOW_S) -> bool:
    try:
        verify_signature(body, header, WEBHOOK_SECRET, now_ms=now_s * 1000)
    except BadEvent:
        return False
    return True


@given(st.text(max_size=200))
def test_what_the_official_package_signs_is_accepted(text: str) -> None:
    body = text.encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    assert accepts(body, signed(body, at_s=NOW_S))


@pytest.mark.parametrize("name", EVENTS)
def test_both_agree_on_the_kept_events(name: str) -> None:
    body = event(name)
    now = int(time.time())
    header = signed(body, at_s=now)
    assert WebhookSignature.verify_header(body.decode(), header, WEBHOOK_SECRET, tolerance=300)
    assert accepts(body, header, now_s=now)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header(body.decode() + " ", header, WEBHOOK_SECRET, tolerance=300)
    assert not accepts(body + b" ", header, now_s=now)


def test_one_right_signature_of_several_is_enough() -> None:
    right = signed(BODY, at_s=NOW_S).partition(",")[2]
    old = signed(BODY, at_s=NOW_S, secret="whsec_old").partition(",")[2]
    assert accepts(BODY, f"t={NOW_S},{old},{right},v0=00")
    assert accepts(BODY, f"t={NOW_S}, {right}, {old}")
    assert not accepts(BODY, f"t={NOW_S},{old}")


@pytest.mark.parametrize("late_s", [-301, -300, 0, 300, 301])
def test_the_time_may_be_five_minutes_away_either_way(late_s: int) -> None:
    header = signed(BODY, at_s=NOW_S)
    assert accepts(BODY, header, now_s=NOW_S + late_s) is (abs(late_s) <= 300)


RIGHT = signed(BODY, at_s=NOW_S).rpartition("=")[2]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"v1={RIGHT}",
        f"t={NOW_S}",
        f"t=,v1={RIGHT}",
        f"t=-1,v1={RIGHT}",
        f"t={NOW_S},t={NOW_S},v1={RIGHT}",
        f"t={NOW_S},v0={RIGHT}",
        f"t={NOW_S},v1=",
        f"t={NOW_S},v1={RIGHT[:-1]}",
        f"t={NOW_S},v1={RIGHT.upper()}",
        f"t={NOW_S + 1},v1={RIGHT}",
        f"t={NOW_S},v1=ü",
        f"t={'9' * 400},v1={RIGHT}",
        f"t={NOW_S}," + "v1=00," * 40 + f"v1={RIGHT}",
    ],
)
def test_headers_that_prove_nothing(header: str) -> None:
    assert not accepts(BODY, header)


def meaning(name: str, **changes: Any) -> object:
    body = event(name, **changes)
    headers = {"stripe-signature": signed(body, at_s=NOW_S)}
    read = provider().read_event(body, headers, now_ms=NOW_S * 1000)
    assert read.kind == name.removesuffix(".unpaid")
    return read.says


PAY = "pay_00000000000000000000000000"
SESSION = "cs_test_a1B2c3D4e5F6g7H8i9J0"
INTENT = "pi_3QwErTyUiOpAsDfG0hJkLzXc"


def test_what_the_events_mean() -> None:
    card = Receipt(provider="stripe", provider_ref=SESSION, receipt_id=INTENT, method="card")
    paid = Paid(receipt=card, payment_id=PAY, amount_uusd=25_000_000)
    assert meaning("checkout.session.completed") == paid
    late = meaning("checkout.session.async_payment_succeeded")
    assert isinstance(late, Paid)
    assert (late.amount_uusd, late.receipt.method) == (25_000_000, "us_bank_account")
    assert meaning("checkout.session.completed.unpaid") == UnknownEvent(reason="state")
    for name in ("async_payment_failed", "expired"):
        failed = PaymentFailed(provider_ref=SESSION, payment_id=PAY, failure=name)
        assert meaning(f"checkout.session.{name}") == failed
    back = Refunded(receipt_id=INTENT, payment_id=PAY, total_uusd=25_000_000)
    assert meaning("charge.refunded") == back
    assert meaning("customer.created") == UnknownEvent(reason="kind")


def test_only_dollars_and_amounts_above_zero_are_money() -> None:
    for name in ("checkout.session.completed", "charge.refunded"):
        assert meaning(name, currency="eur") == UnknownEvent(reason="currency")
    assert meaning("checkout.session.completed", amount_total=0) == UnknownEvent(reason="amount")
    assert meaning("charge.refunded", amount_refunded=0) == UnknownEvent(reason="amount")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":1,"type":"x","data":{"object":{}}}'])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    headers = {"stripe-signature": signed(body, at_s=NOW_S)}
    with pytest.raises(BadEvent, match="not an event"):
        provider().read_event(body, headers, now_ms=NOW_S * 1000)
