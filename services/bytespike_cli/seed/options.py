"""The options of `bytespike seed`, apart from the command so that other commands start fast."""

from __future__ import annotations

import argparse

__all__ = ["add_seed_options"]


def add_seed_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bytespike seed`."""
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how far back (30)")
    parser.add_argument(
        "--requests", type=int, default=20_000, metavar="N", help="requests in all (20000)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another month (1)")
