"""What a change changes: the columns that differ, and how they are called outside. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bytespike_contracts.money import format_usd

__all__ = ["CAP_COLUMNS", "CAP_FIELDS", "differing", "facts"]

#: Spend limits as the API calls them -> their columns.
CAP_FIELDS: Mapping[str, str] = {
    "quota": "quota_uusd",
    "rate_limit_5h": "window_5h_uusd",
    "rate_limit_1d": "window_1d_uusd",
    "rate_limit_7d": "window_7d_uusd",
}
CAP_COLUMNS = frozenset(CAP_FIELDS.values())
_NAMES = {column: field for field, column in CAP_FIELDS.items()}


def differing(row: object, changes: Mapping[str, object]) -> dict[str, object]:
    """Those of ``{column: value}`` that ``row`` does not say already."""
    return {column: value for column, value in changes.items() if getattr(row, column) != value}


def facts(row: object, columns: Iterable[str]) -> dict[str, object]:
    """Columns of a row under their public names, amounts as decimal USD texts: fit for the audit
    log and for events.
    """
    return {_NAMES.get(column, column): _text(column, getattr(row, column)) for column in columns}


def _text(column: str, value: object) -> object:
    return format_usd(value) if column in CAP_COLUMNS and isinstance(value, int) else value
