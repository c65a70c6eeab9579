"""The office: lists and sums over a million rows, asked of the real ledger, and how it finds them.

The rows are put straight into the books (see ``office.sql``), the copy in Redis is made anew and
the audit has to find everything right before anything is measured. Calls go to the ledger itself
with the edge's word on who is asking, one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bytespike_cli.gateway_api import decode
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_runtime import pg
from bytespike_runtime.http_client import Origin
from tests.bench.costs import Effort
from tests.bench.report import Row
from tests.bench.rig import Rig
from tests.support.stack import admin_api

__all__ = ["office"]

_SQL = Path(__file__).with_name("office.sql")
_ROWS = 1_000_000
_LOAD_TIMEOUT_S = 900.0
_CALLS = 200
_BUDGET_MS = 50.0
#: Keys of each account; the first has most of the rows.
_KEYS = (20, 10, 5, 5)
_ORG = "office-1"
_FUNDS_USD = "100000000.00"


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """A key that sees the whole of the largest account."""

    account_id: str
    key_id: str

    def headers(self, internal_token: str) -> list[tuple[str, str]]:
        principal = Principal(
            request_id="req_of_the_bench",
            account_id=self.account_id,
            key_id=self.key_id,
            group="default",
            scopes=("inference", "manage"),
        )
        return [
            (INTERNAL_TOKEN_HEADER, internal_token),
            (PRINCIPAL_HEADER, encode_principal(principal)),
        ]


async def office(rig: Rig, effort: Effort) -> list[Row]:
    """Percentiles of every question the usage pages ask."""
    began = time.monotonic()
    caller = await _load(rig)
    calls = _CALLS * effort.rounds
    rows = [
        Row(
            measure=f"books filled with {_ROWS:,} requests and proven",
            unit="s",
            gateway=time.monotonic() - began,
        )
    ]
    for name, paths in (await _questions(rig, caller)).items():
        times = [await _timed_ms(rig, caller, paths[n % len(paths)]) for n in range(-10, calls)]
        times = sorted(times[10:])
        rows += [
            Row(measure=f"{name}, p50", unit="ms", gateway=times[len(times) // 2]),
            Row(
                measure=f"{name}, p99",
                unit="ms",
                gateway=times[len(times) * 99 // 100],
                budget=_BUDGET_MS,
            ),
        ]
    return rows


async def _questions(rig: Rig, caller: _Caller) -> dict[str, list[str]]:
    """Paths to ask in turn, by what they are about."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=30)
    every, month = "/api/v1/usage?limit=50", f"/api/v1/me/usage?since={first}&until={today}"
    deep = [
        (await _ask(rig, caller, f"{every}&until={today - timedelta(days=n)}"))["next_cursor"]
        for n in range(0, 30, 3)
    ]
    page = (await _ask(rig, caller, f"{every}&until={today - timedelta(days=20)}"))["items"]
    keys = sorted({row["api_key_id"] for row in page})
    return {
        "usage, first page": [every],
        "usage, page behind a cursor": [f"{every}&cursor={cursor}" for cursor in deep],
        "usage, common model": [f"{every}&model=model-{n}" for n in range(1, 10)],
        "usage, rare model": [f"{every}&model=model-10"],
        "usage, model that was never called": [f"{every}&model=model-11"],
        "usage, one key": [f"{every}&api_key_id={key}" for key in keys],
        "usage, one key and a rare model": [
            f"{every}&model=model-10&api_key_id={key}" for key in keys
        ],
        "usage, a day": [
            f"{every}&since={first + timedelta(days=n)}&until={first + timedelta(days=n + 1)}"
            for n in range(30)
        ],
        "usage, request id": [f"{every}&request_id={row['request_id']}" for row in page],
        "usage, one request with its cost": [f"/api/v1/usage/{row['request_id']}" for row in page],
        "usage of the asking key": ["/v1/usage?limit=50"],
        "sums by day": [f"{month}&group_by=day"],
        "sums by hour": [f"{month}&group_by=hour"],
        "sums by model": [f"{month}&group_by=model"],
        "sums by key": [f"{month}&group_by=api_key"],
        "sums by day and model": [f"{month}&group_by=day,model"],
        "sums by hour of one key": [f"{month}&group_by=hour&api_key={key}" for key in keys],
        "sums by hour of one model": [f"{month}&group_by=hour&model=model-{n}" for n in (1, 9)],
    }


async def _load(rig: Rig) -> _Caller:
    """Customers through the API, their month into the tables, Redis anew, books proven."""
    offices = []
    async with admin_api(rig.stack) as api:
        for number, keys in enumerate(_KEYS, 1):
            org = {"name": f"office-{number}"}
            account_id = decode(await api.call("POST", "/api/v1/admin/orgs", org))["account_id"]
            account = f"/api/v1/admin/accounts/{account_id}"
            await api.call("POST", f"{account}/top-ups", {"usd": _FUNDS_USD})
            made = [decode(await api.call("POST", f"{account}/keys", _key(n))) for n in range(keys)]
            offices.append((number, account_id, [key["id"] for key in made]))
        conn = await pg.connect(rig.stack.servers["postgres"].url)
        try:
            await conn.execute(
                "create temporary table office (account_no int, account_id text, key_ids text[])"
            )
            await conn.executemany("insert into office values ($1, $2, $3)", offices)
            await conn.execute("select set_config('bench.rows', $1, false)", str(_ROWS))
            await conn.execute(_SQL.read_text(), timeout=_LOAD_TIMEOUT_S)
            await conn.execute("vacuum analyze", timeout=_LOAD_TIMEOUT_S)
        finally:
            await conn.close()
        await api.call("POST", "/api/v1/admin/rebuild")
        audit = decode(await api.call("GET", "/api/v1/admin/audit"))
    if not audit["clean"]:
        raise RuntimeError(f"the books of the bench are wrong: {audit['checks']}")
    return _Caller(account_id=offices[0][1], key_id=offices[0][2][0])


def _key(number: int) -> Mapping[str, object]:
    return {"name": f"key-{number}", "scopes": ["inference", "manage"]}


async def _timed_ms(rig: Rig, caller: _Caller, path: str) -> float:
    began = time.perf_counter()
    await _body(rig, caller, path)
    return (time.perf_counter() - began) * 1000


async def _ask(rig: Rig, caller: _Caller, path: str) -> Any:
    return msgspec.json.decode(await _body(rig, caller, path))


async def _body(rig: Rig, caller: _Caller, path: str) -> bytes:
    origin, _ = Origin.parse(rig.stack.services["ledger"].url)
    token = rig.stack.home.secret("internal-token")
    response = await rig.client.request(
        "GET", origin, path, caller.headers(token), connect_timeout_s=5, first_byte_timeout_s=60
    )
    body = await response.read(limit_bytes=1 << 26, idle_timeout_s=60)
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:500]!r}")
    return body
