"""The commands about money: what is said is what is asked."""

from __future__ import annotations

from aiohttp import web

from tests.support.admin_cli import Recorder, asked_by


async def test_money_moves_as_it_was_said(recorder: Recorder) -> None:
    account, wallet = "/api/v1/admin/accounts/acct_1", ("--org", "acct_1")
    once = ("--idempotency-key", "k", "--effective-at", "2026-01-01")
    said = {"idempotency_key": "k", "effective_at": "2026-01-01"}
    await asked_by(
        recorder, "wallet", "top-up", *wallet, "--usd", "5.10", "--bonus", "ladder", *once
    )
    await asked_by(recorder, "wallet", "adjust", *wallet, "--usd=-5.10", "--reason", "oops", *once)
    await asked_by(
        recorder, "wallet", "refund", *wallet, "7", "--usd", "1", "--reason", "no", *once
    )
    await asked_by(recorder, "wallet", "refund", *wallet, "7", "--reason", "no")
    assert recorder.asked == [
        ("POST", f"{account}/top-ups", {"usd": "5.10", "bonus": "ladder", **said}),
        ("POST", f"{account}/adjustments", {"usd": "-5.10", "reason": "oops", **said}),
        ("POST", f"{account}/refunds", {"transfer_id": 7, "usd": "1", "reason": "no", **said}),
        ("POST", f"{account}/refunds", {"transfer_id": 7, "reason": "no"}),
    ]


async def test_lists_of_money_are_asked_for_with_their_filters(recorder: Recorder) -> None:
    account, wallet = "/api/v1/admin/accounts/acct_1", ("--org", "acct_1")
    await asked_by(recorder, "wallet", "transactions", *wallet, "--page", "2", "--kind", "refund")
    await asked_by(recorder, "wallet", "statement", *wallet, "--month", "2026-01")
    await asked_by(recorder, "wallet", "statement", *wallet, "--month", "2026-01", "--csv")
    recorder.answers = [
        web.json_response({"items": [], "next_cursor": "pay_1"}),
        web.json_response({"items": [], "next_cursor": None}),
    ]
    await asked_by(recorder, "payment", "list", "--status", "refunded")
    assert [path for _, path, _ in recorder.asked] == [
        f"{account}/transactions?page=2&kind=refund",
        f"{account}/statements/2026-01",
        f"{account}/statements/2026-01.csv",
        "/api/v1/admin/payments?status=refunded",
        "/api/v1/admin/payments?status=refunded&cursor=pay_1",
    ]


async def test_thresholds_that_are_not_named_stay(recorder: Recorder) -> None:
    now = '{"low_balance_threshold_usd":2.50,"low_balance_flagged":false,"auto_top_up":%s}'
    recorder.answers = [web.json_response(text=now % '{"below_usd":1.10,"usd":25.00}')]
    settings = ("wallet", "settings", "--org", "acct_1")
    await asked_by(recorder, *settings)
    await asked_by(recorder, *settings, "--low-balance-threshold", "0")
    await asked_by(recorder, *settings, "--auto-top-up", "3", "30")
    await asked_by(recorder, *settings, "--no-auto-top-up")
    auto = {"below_usd": "1.10", "usd": "25.00"}
    assert [body for method, _, body in recorder.asked if method == "PUT"] == [
        {"low_balance_threshold_usd": "0", "auto_top_up": auto},
        {"low_balance_threshold_usd": "2.50", "auto_top_up": {"below_usd": "3", "usd": "30"}},
        {"low_balance_threshold_usd": "2.50", "auto_top_up": None},
    ]
