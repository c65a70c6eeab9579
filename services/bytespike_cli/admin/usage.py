"""`bytespike admin usage` and `reconcile`: what was used, what it cost them, what it cost us."""

from __future__ import annotations

import argparse
import csv
import io
from typing import Any
from urllib.parse import urlencode

from bytespike_cli.admin.commands import Commands, count, given
from bytespike_cli.admin.paths import ADMIN, account_path, add_org
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import fields, rows_of, table

__all__ = ["add_reconcile_command", "add_usage_commands"]

_show_rows = rows_of(
    "created_at", "request_id", "api_key_id", "model", "outcome", "prompt_tokens",
    "completion_tokens", "credits",
)  # fmt: skip
_SUMS = ("call_count", "input_tokens", "cache_read_tokens", "output_tokens", "total_usd")
_LINES = (
    "day", "channel", "model", "calls", "attempts", "cost_usd", "revenue_usd", "margin_usd",
)  # fmt: skip


def add_usage_commands(commands: Commands) -> None:
    """`usage list`, `usage summary`."""
    rows = commands.leaf("list", "answered requests, newest first", _list, _show_rows)
    _add_span(rows)
    rows.add_argument("--request-id", metavar="ID", help="this request alone")
    rows.add_argument("--limit", type=count, metavar="N", help="how many, at most 200; default: 50")
    rows.add_argument("--cursor", metavar="CURSOR", help="next_cursor of the page before (--json)")
    sums = commands.leaf("summary", "sums of usage", _summary, _show_summary)
    _add_span(sums)
    sums.add_argument(
        "--group-by", metavar="LIST", help="of day, hour, model, api_key; default: day"
    )


def add_reconcile_command(commands: Commands) -> None:
    """`reconcile`."""
    reconcile = commands.leaf(
        "reconcile", "what channels cost beside what customers paid", _reconcile, _show_lines
    )
    reconcile.add_argument("--since", metavar="DAY", help="first UTC day; default: 31 before")
    reconcile.add_argument("--until", metavar="DAY", help="the day after the last; default: now")
    reconcile.add_argument("--channel", metavar="CHANNEL", help="this channel alone")
    reconcile.add_argument(
        "--csv", dest="show", action="store_const", const=_as_csv, help="print all columns as CSV"
    )


def _add_span(parser: argparse.ArgumentParser) -> None:
    add_org(parser)
    parser.add_argument("--since", metavar="TIME", help="RFC 3339 or Unix seconds, inclusive")
    parser.add_argument("--until", metavar="TIME", help="the same, exclusive")
    parser.add_argument("--model", metavar="MODEL")
    parser.add_argument("--key", metavar="KEY", help="id or masked form of a key")


def _show_summary(answer: Any) -> str:
    groups = [{"day": "bucket", "hour": "bucket"}.get(word, word) for word in answer["group_by"]]
    buckets = table(answer["buckets"], (*groups, *_SUMS))
    span = {"since": answer["since"], "until": answer["until"]}
    return f"{buckets}\n\n{fields({**span, **answer['totals']})}"


def _show_lines(answer: Any) -> str:
    return f"{table(answer['items'], _LINES)}\n\n{fields(answer['totals'])}"


def _as_csv(answer: Any) -> str:
    """RFC 4180; amounts as the digits the ledger wrote."""
    text = io.StringIO(newline="")
    if answer["items"]:
        writer = csv.DictWriter(text, list(answer["items"][0]))
        writer.writeheader()
        writer.writerows(answer["items"])
    return text.getvalue().removesuffix("\r\n")


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    asked = given(args, "since", "until", "model", "request_id", "limit", "cursor")
    asked |= {"api_key_id": args.key} if args.key else {}
    return await api.call("GET", f"{await account_path(api, args.org)}/usage{_query(asked)}")


async def _summary(api: GatewayApi, args: argparse.Namespace) -> bytes:
    asked = given(args, "since", "until", "model", "group_by")
    asked |= {"api_key": args.key} if args.key else {}
    path = f"{await account_path(api, args.org)}/usage/summary"
    return await api.call("GET", path + _query(asked))


async def _reconcile(api: GatewayApi, args: argparse.Namespace) -> bytes:
    asked = {
        name: value
        for name, value in (
            ("since_day", args.since),
            ("until_day", args.until),
            ("channel", args.channel),
        )
        if value is not None
    }
    return await api.call("GET", f"{ADMIN}/reconciliation{_query(asked)}")


def _query(asked: dict[str, Any]) -> str:
    return f"?{urlencode(asked, safe=',:')}" if asked else ""
