"""What the API shows of the ledger's rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from bytespike_ledger.accounts.wallets import TopUp
from bytespike_ledger.api.wire import timestamp, usd
from bytespike_ledger.store.accounts import OrgRow
from bytespike_ledger.store.keys import KeyRow

__all__ = ["key_view", "org_view", "top_up_view", "usage_view"]

View = dict[str, object]


def org_view(org: OrgRow) -> View:
    """An organisation; the balance is the settled one."""
    return {
        "id": org.id,
        "name": org.name,
        "account_id": org.account_id,
        "tier": org.tier,
        "concurrency": org.concurrency,
        "balance_usd": usd(org.balance_uusd),
        "created_at": _time(org.created_at),
    }


def top_up_view(done: TopUp) -> View:
    """A top-up; ``replayed`` says that this idempotency key had brought the money before."""
    return {
        "transfer_id": done.transfer_id,
        "org_id": done.org_id,
        "amount_usd": usd(done.amount_uusd),
        "balance_usd": usd(done.balance_uusd),
        "created_at": _time(done.created_at),
        "replayed": done.replayed,
    }


def key_view(row: KeyRow) -> View:
    """A key without its secret; limits of 0 mean unlimited."""
    return {
        "id": row.id,
        "org_id": row.org_id,
        "account_id": row.account_id,
        "name": row.name,
        "hint": row.hint,
        "status": row.status,
        "scopes": row.scopes,
        "group": row.routing_group,
        "quota": usd(row.quota_uusd),
        "rate_limit_5h": usd(row.window_5h_uusd),
        "rate_limit_1d": usd(row.window_1d_uusd),
        "rate_limit_7d": usd(row.window_7d_uusd),
        "ip_allow": row.ip_allow,
        "ip_deny": row.ip_deny,
        "expires_at": None if row.expires_ms is None else timestamp(row.expires_ms),
        "version": row.version,
        "created_at": _time(row.created_at),
        "updated_at": _time(row.updated_at),
    }


class _Counts(msgspec.Struct):
    """The columns of a usage row that this view computes with."""

    admitted_ms: int
    finished_ms: int
    charge_uusd: int
    input_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    cache_read_tokens: int | None
    output_tokens: int | None


def usage_view(row: Mapping[str, object]) -> View:
    """One answered request. ``prompt_tokens`` is everything read, cached or not."""
    counts = msgspec.convert(row, _Counts)
    parts = (
        counts.input_tokens,
        counts.cache_write_5m_tokens,
        counts.cache_write_1h_tokens,
        counts.cache_read_tokens,
    )
    known = [part for part in parts if part is not None]
    shown = {
        name: value
        for name, value in row.items()
        if name not in {"admitted_ms", "finished_ms", "charge_uusd"}
    }
    return {
        **shown,
        "prompt_tokens": sum(known) if known else None,
        "completion_tokens": counts.output_tokens,
        "credits": usd(counts.charge_uusd),
        "created_at": timestamp(counts.admitted_ms),
        "finished_at": timestamp(counts.finished_ms),
        "duration_ms": counts.finished_ms - counts.admitted_ms,
    }


def _time(at: datetime) -> str:
    return timestamp(int(at.timestamp() * 1000))
