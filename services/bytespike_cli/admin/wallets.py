"""`bytespike admin wallet` and `payment`: money of an account."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote, urlencode

from bytespike_cli.admin.commands import Commands, count, given, signed_usd, usd
from bytespike_cli.admin.paths import ADMIN, account_path, add_org, org_path
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.tables import rows_of, table

__all__ = ["add_payment_commands", "add_wallet_commands"]

_TRANSACTIONS = ("id", "created_at", "kind", "amount_usd", "balance_after_usd", "note")
_show_payments = rows_of(
    "id", "account_id", "provider", "amount_usd", "refunded_usd", "shortfall_usd", "status"
)


def add_wallet_commands(commands: Commands) -> None:
    """`wallet top-up`, `adjust`, `refund`, `show`, `transactions`, `statement`, `settings`."""
    top_up = commands.leaf("top-up", "put money in", _top_up, thing)
    add_org(top_up)
    top_up.add_argument("--usd", required=True, type=usd, help="amount, for example 25.00")
    top_up.add_argument("--note", metavar="TEXT", help="kept with the transfer")
    top_up.add_argument(
        "--bonus", choices=("none", "ladder"), help="ladder: what a customer's payment would bring"
    )
    _add_once(top_up)
    adjust = commands.leaf("adjust", "correct the balance", _adjust, thing)
    add_org(adjust)
    adjust.add_argument(
        "--usd", required=True, type=signed_usd, help="amount; --usd=-5.00 takes money out"
    )
    adjust.add_argument("--reason", required=True, metavar="TEXT", help="kept with the transfer")
    _add_once(adjust)
    refund = commands.leaf("refund", "give a top-up back", _refund, thing)
    add_org(refund)
    refund.add_argument("transfer_id", type=count, metavar="TRANSFER", help="id of the top-up")
    refund.add_argument("--usd", type=usd, help="part of it; default: all that is left of it")
    refund.add_argument("--reason", required=True, metavar="TEXT", help="kept with the transfer")
    _add_once(refund)
    add_org(commands.leaf("show", "what is in it", _show, thing))
    _add_lists(commands)
    settings = commands.leaf("settings", "show or set thresholds", _settings, thing)
    add_org(settings)
    settings.add_argument("--low-balance-threshold", type=usd, metavar="USD", help="0 = off")
    auto = settings.add_mutually_exclusive_group()
    auto.add_argument(
        "--auto-top-up",
        nargs=2,
        type=usd,
        metavar=("BELOW", "USD"),
        help="below which balance to ask for a purchase, and of how much",
    )
    auto.add_argument("--no-auto-top-up", action="store_true", help="ask for none")


def add_payment_commands(commands: Commands) -> None:
    """`payment list`."""
    payments = commands.leaf("list", "payments of all accounts", _payments, _show_payments)
    payments.add_argument("--account", metavar="ID")
    payments.add_argument("--status", choices=("pending", "succeeded", "failed", "refunded"))


def _add_lists(commands: Commands) -> None:
    transactions = commands.leaf(
        "transactions", "everything but usage, newest first", _transactions, _show_transactions
    )
    add_org(transactions)
    transactions.add_argument("--page", type=count, metavar="N")
    transactions.add_argument("--page-size", type=count, metavar="N")
    transactions.add_argument("--kind", choices=("topup", "refund", "admin_credit", "admin_debit"))
    transactions.add_argument("--since", metavar="TIME", help="RFC 3339 or Unix seconds")
    transactions.add_argument("--until", metavar="TIME", help="RFC 3339 or Unix seconds")
    statement = commands.leaf("statement", "a month, in UTC", _statement, _show_statement)
    add_org(statement)
    statement.add_argument("--month", required=True, metavar="YYYY-MM")
    statement.add_argument("--csv", action="store_true", dest="raw", help="print it as CSV")


def _add_once(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--idempotency-key", metavar="TEXT", help="the same text again moves no money again"
    )
    parser.add_argument(
        "--effective-at", metavar="TIME", help="when it counts for in statements; default: now"
    )


def _show_transactions(answer: Any) -> str:
    return f"{table(answer['items'], _TRANSACTIONS)}\n\n{answer['total']} in all"


def _show_statement(answer: Any) -> str:
    parts = [
        thing({name: answer[name] for name in ("month", "opening_balance_usd")}),
        table(answer["lines"], ("effective_at", "kind", "id", "amount_usd", "note")),
        table(answer["usage"], ("date", "calls", "amount_usd")),
        thing({name: answer[name] for name in ("usage_usd", "closing_balance_usd")}),
    ]
    return "\n\n".join(parts)


async def _top_up(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await _move(api, args, "top-ups", "usd", "note", "bonus")


async def _adjust(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await _move(api, args, "adjustments", "usd", "reason")


async def _refund(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await _move(api, args, "refunds", "transfer_id", "usd", "reason")


async def _move(api: GatewayApi, args: argparse.Namespace, what: str, *names: str) -> bytes:
    body = given(args, *names, "idempotency_key", "effective_at")
    return await api.call("POST", f"{await account_path(api, args.org)}/{what}", body)


async def _show(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", await org_path(api, args.org))


async def _transactions(api: GatewayApi, args: argparse.Namespace) -> bytes:
    query = _query(given(args, "page", "page_size", "kind", "since", "until"))
    return await api.call("GET", f"{await account_path(api, args.org)}/transactions{query}")


async def _statement(api: GatewayApi, args: argparse.Namespace) -> bytes:
    month = quote(args.month, safe="") + (".csv" if args.raw else "")
    return await api.call("GET", f"{await account_path(api, args.org)}/statements/{month}")


async def _settings(api: GatewayApi, args: argparse.Namespace) -> bytes:
    """What is not named stays as it is, though the API sets everything at once."""
    path = f"{await account_path(api, args.org)}/wallet-settings"
    answer = await api.call("GET", path)
    if args.low_balance_threshold is None and not args.auto_top_up and not args.no_auto_top_up:
        return answer
    now = decode(answer)
    auto = None if args.no_auto_top_up else now["auto_top_up"]
    if args.auto_top_up:
        auto = dict(zip(("below_usd", "usd"), args.auto_top_up, strict=True))
    low = args.low_balance_threshold or now["low_balance_threshold_usd"]
    return await api.call("PUT", path, {"low_balance_threshold_usd": low, "auto_top_up": auto})


async def _payments(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{ADMIN}/payments{_query(given(args, 'account', 'status'))}")


def _query(values: dict[str, object]) -> str:
    return f"?{urlencode(values)}" if values else ""
