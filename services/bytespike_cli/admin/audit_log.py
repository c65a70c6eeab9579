"""`bytespike admin audit-log`: who changed what."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

from bytespike_cli.admin.commands import Commands, count, given
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import table

__all__ = ["add_audit_log_command"]

_FILTERS = ("actor", "action", "account", "target", "since", "until")


def add_audit_log_command(commands: Commands) -> None:
    """One page at a time: the log only grows, and the newest is what is asked for."""
    log = commands.leaf("audit-log", "who changed what, newest first", _ask, _show)
    for option, metavar, words in (
        ("--actor", "ID", "root, an operator's id, or a key's"),
        ("--action", "WORD", "what was done, for example org.update"),
        ("--account", "ACCOUNT_ID", "changes of this account"),
        ("--target", "ID", "changes of this organisation, member, key, ..."),
        ("--since", "TIME", "RFC 3339 or Unix seconds, inclusive"),
        ("--until", "TIME", "the same, exclusive"),
        ("--cursor", "CURSOR", "the next page of an earlier answer"),
    ):
        log.add_argument(option, metavar=metavar, help=words)
    log.add_argument("--limit", type=count, metavar="N", help="at most so many; default: 50")


def _show(answer: Any) -> str:
    columns = ("at", "actor", "address", "action", "target", "before", "after")
    shown = table(answer["items"], columns)
    cursor = answer["next_cursor"]
    return shown if cursor is None else f"{shown}\n\nOlder ones: --cursor {cursor}"


async def _ask(api: GatewayApi, args: argparse.Namespace) -> bytes:
    query = urlencode(given(args, *_FILTERS, "cursor", "limit"))
    return await api.call("GET", f"{ADMIN}/audit-log" + (f"?{query}" if query else ""))
