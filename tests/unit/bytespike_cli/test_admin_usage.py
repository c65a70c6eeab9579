"""The commands about usage: what is asked, and how the answers look."""

from __future__ import annotations

from tests.support.admin_cli import Recorder, asked_by, parse

_LINE = {"day": "2026-11-24", "channel": "c-1", "model": "m-1", "margin_usd": "0.000010"}


async def test_usage_is_asked_for_by_what_was_said(recorder: Recorder) -> None:
    await asked_by(recorder, "usage", "list", "--org", "acct_1", "--key", "key 1", "--limit", "5")
    await asked_by(recorder, "usage", "summary", "--org", "acct_1", "--group-by", "day,model")
    await asked_by(recorder, "reconcile", "--since", "2026-11-01", "--until", "2026-12-01")
    account = "/api/v1/admin/accounts/acct_1/usage"
    assert [path for _, path, _ in recorder.asked] == [
        f"{account}?limit=5&api_key_id=key+1",
        f"{account}/summary?group_by=day,model",
        "/api/v1/admin/reconciliation?since_day=2026-11-01&until_day=2026-12-01",
    ]


def test_reconciliation_as_csv_has_every_column_and_every_digit() -> None:
    args = parse("reconcile", "--csv")
    assert args.show({"items": [_LINE], "totals": {}}).splitlines() == [
        "day,channel,model,margin_usd",
        "2026-11-24,c-1,m-1,0.000010",
    ]
    assert args.show({"items": [], "totals": {}}) == ""


def test_sums_are_shown_by_group_and_in_total() -> None:
    bucket = {"bucket": "2026-11-24T00:00:00.000Z", "model": "m-1", "call_count": 3}
    answer = {
        "since": "a",
        "until": "b",
        "group_by": ["day", "model"],
        "buckets": [bucket],
        "totals": {"call_count": 3, "total_usd": "0.10"},
    }
    shown = parse("usage", "summary", "--org", "o").show(answer)
    assert "BUCKET" in shown
    assert "m-1" in shown
    assert "total_usd   0.10" in shown
