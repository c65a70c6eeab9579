"""Spend limits as options: the same for whoever is limited."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.commands import usd

__all__ = ["CAPS", "add_caps"]

#: The options as fields of the API.
CAPS = ("quota", "rate_limit_5h", "rate_limit_1d", "rate_limit_7d")


def add_caps(parser: argparse.ArgumentParser, *, of_whom: str) -> None:
    """Options that limit what is spent with all keys of ``of_whom``."""
    limits = parser.add_argument_group(f"spend limits of {of_whom} in USD (0 = none)")
    limits.add_argument("--quota", type=usd, metavar="USD", help="for its whole life")
    for window in ("5h", "1d", "7d"):
        limits.add_argument(
            f"--rate-limit-{window}", type=usd, metavar="USD", help=f"in any {window}"
        )
