"""The page about metrics and the metrics are the same list."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.gateway import Customer, Gateway

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
SERVICES = ["edge", "text-router", "media", "ledger"]


async def _exposed(gateway: Gateway) -> set[str]:
    """Names of all metrics of all services, counters without their suffix."""
    names: set[str] = set()
    for service in SERVICES:
        async with gateway.http.get(gateway.stack.services[service].metrics_url) as response:
            text = await response.text()
        names.update(re.findall(r"^# HELP (\S+) ", text, re.MULTILINE))
    return {name.removesuffix("_total") for name in names if not name.endswith("_created")}


async def test_every_metric_is_documented_and_exists(gateway: Gateway, customer: Customer) -> None:
    await customer.post(
        {
            "model": "claude-sonnet-4-6",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hello"}],
        }
    )
    tables = PAGE.read_text().partition("## What to alert on")[0]
    documented = set(re.findall(r"`((?:gateway|gen_ai|bytespike)_[a-z0-9_]+)`", tables))
    exposed = {name for name in await _exposed(gateway) if not name.startswith("process_")}
    assert exposed - documented == set()
    assert documented - exposed == set()


def test_alerts_use_documented_metrics() -> None:
    tables, _, alerts = PAGE.read_text().partition("## What to alert on")
    for name in re.findall(r"(?:gateway|gen_ai|bytespike)_[a-z0-9_]+", alerts):
        assert f"`{name.removesuffix('_total')}`" in tables, name
