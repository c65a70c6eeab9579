"""`bytespike admin pricing`: what models cost."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import table

__all__ = ["add_pricing_command"]

_RATES = (
    "input_per_1m",
    "cache_write_per_1m",
    "cache_write_1h_per_1m",
    "cache_read_per_1m",
    "output_per_1m",
    "web_search_per_1k",
)


def add_pricing_command(commands: Commands) -> None:
    """A command that stands for itself."""
    command = commands.leaf("pricing", "what models cost, in USD", _ask, _show)
    command.add_argument(
        "--group", metavar="GROUP", help="prices of a public group; default: list prices"
    )


def _show(answer: Any) -> str:
    rows = [{**row, **row["rates"]} for row in answer]
    return table(rows, ("model", "vendor", *_RATES))


async def _ask(api: GatewayApi, args: argparse.Namespace) -> bytes:
    query = "" if args.group is None else f"?group={quote(args.group, safe='')}"
    return await api.call("GET", f"/api/pricing{query}")
