"""Signatures of webhooks, checked by the standard's own library and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from bytespike_contracts.webhooks import check_secret, mint_secret, signature_headers

BODY = b'{"event":"system.payment.received","name":"J\xc3\xbcrgen"}'
PLAIN = "0123456789abcdef0123456789abcdef"


def test_the_standards_library_accepts_a_minted_secret_and_the_body_as_sent() -> None:
    secret = mint_secret(bytes(range(32)))
    headers = signature_headers(secret, BODY, message_id="evt_1", timestamp_s=int(time.time()))
    assert Webhook(secret).verify(BODY, headers)["event"] == "system.payment.received"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.replace(b"payment", b"balance"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, {**headers, "webhook-id": "evt_2"})


def test_a_plain_secret_signs_with_its_characters() -> None:
    headers = signature_headers(PLAIN, BODY, message_id="evt_1", timestamp_s=int(time.time()))
    Webhook(PLAIN.encode()).verify(BODY, headers)


@pytest.mark.parametrize("secret", [PLAIN, mint_secret(b"x" * 32)])
def test_the_plain_signature_needs_the_secret_as_it_was_shown(secret: str) -> None:
    headers = signature_headers(secret, BODY, message_id="evt_1", timestamp_s=1)
    expected = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert headers["x-bytespike-signature"] == expected


def test_an_old_call_is_refused_by_receivers_that_check() -> None:
    secret = mint_secret(b"x" * 32)
    old = signature_headers(secret, BODY, message_id="evt_1", timestamp_s=int(time.time()) - 600)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(BODY, old)


def test_a_known_answer() -> None:
    headers = signature_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp_s=1614265330,
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    [PLAIN, "x" * 24, "x" * 64, "whsec_" + base64.b64encode(b"y" * 24).decode()],
)
def test_secrets_that_may_be_chosen(secret: str) -> None:
    check_secret(secret)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "24 to 64"),
        ("x" * 23, "24 to 64"),
        ("x" * 65, "24 to 64"),
        ("ü" * 30, "printable ASCII"),
        ("line\nbreaks are not printable", "printable ASCII"),
        ("whsec_not base64!", "not base64"),
        ("whsec_é", "not base64"),
        ("whsec_" + base64.b64encode(b"y" * 23).decode(), "24 to 64"),
        ("whsec_" + base64.b64encode(b"y" * 65).decode(), "24 to 64"),
    ],
)
def test_secrets_that_may_not(secret: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_secret(secret)
