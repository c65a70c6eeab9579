"""`bytespike admin parked`: usage events that could not be settled."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import rows_of

__all__ = ["add_parked_commands"]

_PATH = f"{ADMIN}/parked-events"

_show_parked = rows_of("id", "reason", "request_id", "parked_at")


def add_parked_commands(commands: Commands) -> None:
    """`parked list`, `retry`."""
    commands.leaf("list", "events that wait for a human", _list, _show_parked)
    retry = commands.leaf("retry", "settle one after all; parked anew if it fails", _retry, thing)
    retry.add_argument("event", metavar="EVENT_ID")


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(_PATH)


async def _retry(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{_PATH}/{quote(args.event, safe='')}/retry")
