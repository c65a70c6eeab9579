"""The options of `bytespike admin`: what can be said, and what is wrong before anyone is asked.

Options that are left out are not sent, so the ledger's own defaults apply and an update changes
only what was named.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bytespike_cli import admin_requests as requests
from bytespike_cli import admin_views as views
from bytespike_cli.gateway_api import GatewayApi
from bytespike_contracts.money import parse_usd

__all__ = ["add_admin_options"]

Ask = Callable[[GatewayApi, argparse.Namespace], Awaitable[bytes]]
Show = Callable[[Any], str]


class Commands:
    """A level of subcommands: each leaf says how to ask and how to show."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def level(self, name: str, words: str) -> Commands:
        return Commands(self._subparsers.add_parser(name, help=words, description=words))

    def leaf(self, name: str, words: str, ask: Ask, show: Show) -> argparse.ArgumentParser:
        parser = self._subparsers.add_parser(name, help=words, description=words)
        parser.add_argument("--json", action="store_true", help="print the API's answer as it is")
        parser.set_defaults(ask=ask, show=show)
        return parser


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """Fill the parser of `bytespike admin`."""
    commands = Commands(parser)
    _org_options(commands.level("org", "organisations"))
    _wallet_options(commands.level("wallet", "money of an organisation"))
    _key_options(commands.level("key", "API keys"))
    commands.leaf("audit", "prove that the books are right", requests.audit, views.audit)
    commands.leaf("rebuild", "load Redis anew from Postgres", requests.rebuild, views.thing)


def _org_options(commands: Commands) -> None:
    create = commands.leaf("create", "make an organisation", requests.create_org, views.thing)
    create.add_argument("--name", required=True)
    create.add_argument(
        "--tier", choices=("free", "pro", "max", "enterprise"), help="default: enterprise"
    )
    create.add_argument(
        "--concurrency", type=_count, metavar="N", help="requests at once; default: by tier"
    )
    commands.leaf("list", "all organisations", requests.list_orgs, views.orgs)


def _wallet_options(commands: Commands) -> None:
    top_up = commands.leaf("top-up", "put money in", requests.top_up, views.thing)
    _add_org(top_up)
    top_up.add_argument("--usd", required=True, type=_usd, help="amount, for example 25.00")
    top_up.add_argument(
        "--idempotency-key", metavar="TEXT", help="the same text again moves no money again"
    )
    top_up.add_argument("--note", metavar="TEXT", help="kept with the transfer")
    _add_org(commands.leaf("show", "what is in it", requests.show_wallet, views.thing))


def _key_options(commands: Commands) -> None:
    create = commands.leaf(
        "create", "make a key; it is shown this once", requests.create_key, views.new_key
    )
    _add_org(create)
    create.add_argument("--name", required=True)
    _add_key_fields(create)
    create.add_argument(
        "--custom-key", metavar="KEY", help="use this key: 24 to 128 of A-Z a-z 0-9 _ -"
    )
    _add_org(commands.leaf("list", "keys of an organisation", requests.list_keys, views.keys))
    update = commands.leaf("update", "change a key", requests.update_key, views.thing)
    update.add_argument("key", metavar="KEY_ID")
    update.add_argument("--name")
    _add_key_fields(update)
    for name, words, ask in (
        ("show", "everything about a key but the key", requests.show_key),
        ("disable", "refuse it until it is enabled", requests.disable_key),
        ("enable", "accept it again", requests.enable_key),
        ("delete", "refuse it for good", requests.delete_key),
    ):
        commands.leaf(name, words, ask, views.thing).add_argument("key", metavar="KEY_ID")


def _add_org(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--org", required=True, metavar="ORG", help="its id, or its name")


def _add_key_fields(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("spend limits in USD (0 = none)")
    limits.add_argument("--quota", type=_usd, metavar="USD", help="for the key's whole life")
    for window in ("5h", "1d", "7d"):
        limits.add_argument(
            f"--rate-limit-{window}", type=_usd, metavar="USD", help=f"in any {window}"
        )
    access = parser.add_argument_group("access")
    for option, words in (
        ("--ip-allow", "addresses it works from"),
        ("--ip-deny", "addresses it never works from"),
        ("--scopes", "inference, manage"),
    ):
        access.add_argument(
            option,
            action=Listed,
            metavar="LIST",
            help=f"{words}; comma-separated, and may be repeated",
        )
    access.add_argument("--group", metavar="GROUP", help="models and channels it may use")
    access.add_argument(
        "--expires-in-days", type=_days, metavar="N", help="counted from now; or: never"
    )


class Listed(argparse.Action):
    """``--x a,b --x c`` -> ``["a", "b", "c"]``; ``--x ""`` -> ``[]``, which empties a list."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        earlier = getattr(namespace, self.dest) or []
        items = [item.strip() for item in str(values).split(",")]
        setattr(namespace, self.dest, [*earlier, *filter(None, items)])


def _usd(text: str) -> str:
    """Checked here, sent as text: an amount never becomes a float."""
    try:
        amount_uusd = parse_usd(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if amount_uusd < 0:
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return text


def _days(text: str) -> float | msgspec.Raw:
    """``never`` is the API's null; None would mean that the option was not given."""
    if text == "never":
        return msgspec.Raw(b"null")
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"neither a number nor never: {text!r}") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a whole number: {text!r}")
    return int(text)
