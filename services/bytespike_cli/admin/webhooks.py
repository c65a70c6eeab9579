"""`bytespike admin webhook`: whom an account is told through, and how that goes."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands, count
from bytespike_cli.admin.paths import ADMIN, account_path, add_org
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import rows_of

__all__ = ["add_webhook_commands"]

_show_webhooks = rows_of("id", "status", "fail_count", "url", "event_types")
_show_deliveries = rows_of(
    "id",
    "created_at",
    "event_type",
    "status",
    "attempt",
    "response_status",
    "duration_ms",
    "error",
)


def add_webhook_commands(commands: Commands) -> None:
    """`webhook list`, `deliveries`, `redeliver`, `disable`."""
    add_org(commands.leaf("list", "webhooks of an organisation", _list, _show_webhooks))
    deliveries = commands.leaf(
        "deliveries", "what was sent to a webhook, newest first", _deliveries, _show_deliveries
    )
    _add_webhook(deliveries)
    deliveries.add_argument("--page", type=count, default=1, metavar="N")
    deliveries.add_argument("--page-size", type=count, default=50, metavar="N")
    redeliver = commands.leaf("redeliver", "send an event once more", _redeliver, thing)
    _add_webhook(redeliver)
    redeliver.add_argument("delivery", metavar="DELIVERY_ID")
    _add_webhook(
        commands.leaf("disable", "deliver nothing until its owner enables it", _disable, thing)
    )


def _add_webhook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("webhook", metavar="WEBHOOK_ID")


def _path(args: argparse.Namespace) -> str:
    return f"{ADMIN}/webhooks/{quote(args.webhook, safe='')}"


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", f"{await account_path(api, args.org)}/webhooks")


async def _deliveries(api: GatewayApi, args: argparse.Namespace) -> bytes:
    page = f"page={args.page}&page_size={args.page_size}"
    return await api.call("GET", f"{_path(args)}/deliveries?{page}")


async def _redeliver(api: GatewayApi, args: argparse.Namespace) -> bytes:
    delivery = quote(args.delivery, safe="")
    return await api.call("POST", f"{_path(args)}/deliveries/{delivery}/redeliver")


async def _disable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{_path(args)}/disable")
