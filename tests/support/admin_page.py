"""The page of `bytespike admin`, written from its own parsers: ``make docs``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bytespike_cli.admin.options import add_admin_options

__all__ = ["ADMIN_PAGE", "admin_page"]

ADMIN_PAGE = Path(__file__).parents[2] / "docs" / "admin.md"
_HEAD = """# bytespike admin

Everything an operator does, on the command line. Each command asks the management API (see
[accounts.md](accounts.md)) of the gateway in `BYTESPIKE_URL` with `BYTESPIKE_ADMIN_TOKEN`, or of
the one that `make run` started here. `--json` prints the API's answer as it is; amounts are USD. An
organisation may be named by its id or by its name.

Written by `make docs` from the command itself.
"""


def admin_page() -> str:
    """The whole page."""
    parser = argparse.ArgumentParser(prog="bytespike admin")
    add_admin_options(parser)
    return "\n".join([_HEAD, *(_section(child) for child in _leaves(parser))])


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    children = [
        child
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for child in action.choices.values()
    ]
    if not children:
        yield parser
    for child in children:
        yield from _leaves(child)


def _section(parser: argparse.ArgumentParser) -> str:
    words = parser.description or ""
    lines = [f"## {parser.prog}", "", f"{words[:1].upper()}{words[1:]}.", ""]
    rows = [_row(action) for action in parser._actions if action.dest not in ("help", "json")]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(action: argparse.Action) -> str:
    name = action.option_strings[0] if action.option_strings else ""
    value = ""
    if action.nargs != 0:
        value = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
        value = value or str(action.metavar or action.dest.upper())
    said = " ".join(filter(None, (name, value)))
    needed = " (required)" if action.required and name else ""
    return f"| `{said}` | {(action.help or '').replace('|', 'or')}{needed} |"


if __name__ == "__main__":
    ADMIN_PAGE.write_text(admin_page())
