"""`bytespike admin channel`: what the channels are doing, and switching them off and on."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import table

__all__ = ["add_channel_commands"]

_COLUMNS = ("id", "dialect", "in_catalogue", "effective", "in_flight", "health", "reason")


def add_channel_commands(commands: Commands) -> None:
    """`channel list`, `enable`, `disable`."""
    commands.leaf("list", "channels and how they fare", _list, _show_channels)
    for name, words, ask in (
        ("enable", "let it be called again", _enable),
        ("disable", "no new calls, on every router; running ones go on", _disable),
    ):
        command = commands.leaf(name, words, ask, thing)
        command.add_argument("channel", metavar="CHANNEL")
        command.add_argument(
            "--reason", required=True, metavar="TEXT", help="for your colleagues and the audit log"
        )


def _show_channels(answer: Any) -> str:
    return table([_row(channel) for channel in answer["items"]], _COLUMNS)


def _row(channel: Any) -> dict[str, object]:
    """All routers of a channel in one line: what they say, and what the operator said."""
    routers = channel["routers"]
    switch = channel["switch"]
    return {
        **channel,
        "in_flight": sum(router["in_flight"] for router in routers),
        "health": sorted({router["state"] for router in routers}),
        "reason": None if switch is None else switch["reason"],
    }


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", f"{ADMIN}/channels")


async def _enable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await _switch(api, args, "enabled")


async def _disable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await _switch(api, args, "disabled")


async def _switch(api: GatewayApi, args: argparse.Namespace, state: str) -> bytes:
    path = f"{ADMIN}/channels/{quote(args.channel, safe='')}"
    return await api.call("PUT", path, {"state": state, "reason": args.reason})
