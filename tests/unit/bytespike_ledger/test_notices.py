"""What events say: in JSON to receivers, in words to people."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.accounts.notices import NOTICES, notice_of
from bytespike_ledger.courier.payloads import render
from bytespike_ledger.store.events import EventRow


def event(body: bytes) -> EventRow:
    return EventRow(
        id="evt_1",
        account_id="acct_1",
        member_id=None,
        type="system.payment.received",
        body=body.decode(),
        created_at=datetime(2026, 5, 1, 12, 0, 0, 5000, UTC),
    )


def test_amounts_leave_as_numbers_with_exact_digits() -> None:
    body = b'{"balance_usd": "7.8", "amount_usd": "0.000018", "odd_usd": "x", "none_usd": null}'
    assert render(event(body)) == (
        '{"event":"system.payment.received","id":"evt_1","created_at":"2026-05-01T12:00:00.005Z",'
        '"balance_usd":7.80,"amount_usd":0.000018,"odd_usd":"x","none_usd":null}'
    )


def test_a_body_cannot_pretend_to_be_another_event() -> None:
    payload = msgspec.json.decode(render(event(b'{"event": "other", "id": "x", "note": "n"}')))
    assert (payload["event"], payload["id"], payload["note"]) == (
        "system.payment.received",
        "evt_1",
        "n",
    )


def test_words_hold_what_happened() -> None:
    notice = notice_of("system.balance.notify.dispatched", {"balance_usd": "7.80"})
    assert notice is not None
    assert "7.80 USD" in notice.body


def test_a_field_that_is_missing_does_not_cost_the_notice() -> None:
    for kind in NOTICES:
        notice = notice_of(kind, {"reason": "of a test"})
        assert notice is not None
        assert "{" not in notice.title + notice.body


def test_what_nobody_is_told_of() -> None:
    assert notice_of(EventType.ORG_UPDATE, {}) is None
    assert notice_of("of.a.later.release", {}) is None
    assert notice_of(EventType.USER_WEBHOOK_UPDATE, {"host": "x"}) is None, "done by its owner"
