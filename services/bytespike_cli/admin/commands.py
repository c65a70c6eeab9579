"""The grammar of `bytespike admin`: levels, commands, and options as they are typed.

Options that are left out are not sent, so the ledger's own defaults apply and an update changes
only what was named.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bytespike_cli.gateway_api import GatewayApi
from bytespike_contracts.money import parse_usd

__all__ = [
    "Ask",
    "Commands",
    "Listed",
    "Show",
    "changes",
    "count",
    "days",
    "given",
    "signed_usd",
    "usd",
]

Ask = Callable[[GatewayApi, argparse.Namespace], Awaitable[bytes]]
Show = Callable[[Any], str]


class Commands:
    """A level of subcommands: each leaf says how to ask and how to show."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def level(self, name: str, words: str) -> Commands:
        """A word below which there are more commands."""
        return Commands(self._subparsers.add_parser(name, help=words, description=words))

    def leaf(self, name: str, words: str, ask: Ask, show: Show) -> argparse.ArgumentParser:
        """A command; the caller adds its options to the parser returned."""
        parser = self._subparsers.add_parser(name, help=words, description=words)
        parser.add_argument("--json", action="store_true", help="print the API's answer as it is")
        parser.set_defaults(ask=ask, show=show)
        return parser


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


def given(args: argparse.Namespace, *names: str) -> dict[str, object]:
    """The options that were said; one that was left out must not reach the ledger as a value."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def changes(args: argparse.Namespace, *names: str) -> dict[str, object]:
    """The same for an update, which has to change something."""
    wanted = given(args, *names)
    if not wanted:
        raise ValueError("nothing to change: name at least one option (see --help)")
    return wanted


def usd(text: str) -> str:
    """Checked here, sent as text: an amount never becomes a float."""
    if signed_usd(text).startswith("-"):
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return text


def signed_usd(text: str) -> str:
    """The same for an amount that may be below zero."""
    try:
        parse_usd(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def days(text: str) -> float | msgspec.Raw:
    """``never`` is the API's null; None would mean that the option was not given."""
    if text == "never":
        return msgspec.Raw(b"null")
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"neither a number nor never: {text!r}") from None


def count(text: str) -> int:
    """A whole number."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a whole number: {text!r}")
    return int(text)
