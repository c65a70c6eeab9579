"""`bytespike seed`: a month that the ledger believes, for whoever wants something to look at."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bytespike_cli.gateway_api import GatewayApi
from tests.support.gateway import Gateway, running_gateway
from tests.support.stack import DEFAULT_CATALOGUE, clean_environment


async def seed(gateway: Gateway, home: Path) -> tuple[int | None, str]:
    """Run it like its user does; exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bytespike_cli", "seed", "--days", "40", "--requests", "900"),
        env=clean_environment(
            BYTESPIKE_HOME=str(home),
            BYTESPIKE_URL=gateway.urls[0],
            BYTESPIKE_ADMIN_TOKEN=gateway.stack.admin_token,
            BYTESPIKE_NATS_URL=gateway.stack.nats_url,
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def ask(api: GatewayApi, path: str) -> Any:
    return json.loads(await api.call("GET", path), parse_float=Decimal)


def months() -> list[str]:
    """This month and the two before it, oldest first: 40 days touch no more."""
    now = datetime.now(UTC)
    numbers = [now.year * 12 + now.month - 1 - back for back in (2, 1, 0)]
    return [f"{number // 12}-{number % 12 + 1:02d}" for number in numbers]


async def the_month_adds_up(api: GatewayApi, month: str, opening: Decimal) -> Decimal:
    """The statement, and its CSV, from the balance before to the one after."""
    statement = await ask(api, f"/api/v1/me/billing/statements/{month}")
    assert statement["opening_balance_usd"] == opening
    moved = sum(line["amount_usd"] for line in statement["lines"])
    used = sum(day["amount_usd"] for day in statement["usage"])
    closing: Decimal = statement["closing_balance_usd"]
    assert opening + moved - used == closing
    text = (await api.call("GET", f"/api/v1/me/billing/statements/{month}.csv")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    amounts = [Decimal(row["amount_usd"]) for row in rows if row["amount_usd"]]
    assert sum(amounts) == closing
    assert len(amounts) == len(rows) - 1, "only the closing balance moves nothing"
    return closing


async def test_a_seeded_month_passes_the_audit_and_adds_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running_gateway(tmp_path / "stack", catalogue=DEFAULT_CATALOGUE) as gateway:
        code, printed = await seed(gateway, home)
        assert code == 0, printed
        companies = json.loads((home / "secrets" / "seed.json").read_text())
        assert [company["name"] for company in companies] == [
            "Northwind Robotics",
            "Bluebird Studio",
        ]
        for company in companies:
            owner = next(key for name, key in company["keys"].items() if name.endswith("/console"))
            async with GatewayApi(gateway.urls[0], owner) as api:
                balance = Decimal(0)
                for month in months():
                    balance = await the_month_adds_up(api, month, balance)
                wallet = (await ask(api, "/v1/balance"))["balance"]
                assert wallet["balance_usd"] == balance
                sums = await ask(api, "/api/v1/me/usage?group_by=model")
                assert len(sums["buckets"]) >= 3
        assert (await gateway.audit())["clean"] is True

        code, printed = await seed(gateway, home)
        assert code == 0
        assert printed.count("left as it is") == 2
