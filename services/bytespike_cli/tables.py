"""Answers of the API as text for people: tables for lists, one line per field for one thing.

Scripts use ``--json`` instead, which never passes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["fields", "rows_of", "table"]

_EMPTY = "-"


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """``columns`` of ``rows`` below their names, aligned; amounts and counts to the right."""
    if not rows:
        return "none"
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    titles = [column.replace("_", " ").upper() for column in columns]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    to_the_right = [all(map(_is_number, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_the_right, strict=True)
        ).rstrip()
        for line in [titles, *cells]
    )


def rows_of(*columns: str) -> Callable[[Any], str]:
    """A view of a list answer: ``columns`` of its ``items``."""
    return lambda answer: table(answer["items"], columns)


def fields(thing: Mapping[str, object], prefix: str = "") -> str:
    """Every field on a line of its own; fields of nested things are named ``outer.inner``."""
    flat = _flatten(thing, prefix)
    width = max((len(name) for name in flat), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in flat.items())


def _flatten(thing: Mapping[str, object], prefix: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in thing.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = _text(value)
    return flat


def _text(value: object) -> str:
    if value is None or value in ("", []):
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(item)}" for name, item in value.items())
    return str(value)


def _is_number(cell: str) -> bool:
    return cell == _EMPTY or cell.removeprefix("-").replace(".", "", 1).isdigit()
