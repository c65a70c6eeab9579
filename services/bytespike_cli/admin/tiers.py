"""The tier of an account, and how much it may do at once, as options."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.commands import count

__all__ = ["add_tier"]


def add_tier(parser: argparse.ArgumentParser, *, default: str = "") -> None:
    """`--tier` and `--concurrency`; ``default`` is what the ledger takes if none is said."""
    parser.add_argument(
        "--tier",
        choices=("free", "pro", "max", "enterprise"),
        help=f"default: {default}" if default else "brings its own concurrency",
    )
    parser.add_argument(
        "--concurrency", type=count, metavar="N", help="requests at once; default: by tier"
    )
