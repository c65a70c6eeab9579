"""CSV as RFC 4180 has it, safe to open in a spreadsheet. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bytespike_contracts.money import format_usd

__all__ = ["csv_bytes"]

#: A cell that starts so is a formula to a spreadsheet; a quote before it makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_QUOTED = (",", '"', "\r", "\n")


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str | int | None]]) -> bytes:
    """Lines with CRLF. A text is a text, an integer is micro-USD and becomes a USD decimal (which
    may start with a minus: it is a number), None is an empty cell.
    """
    lines = [",".join(header)]
    lines += [",".join(_cell(value) for value in row) for row in rows]
    return ("\r\n".join(lines) + "\r\n").encode()


def _cell(value: str | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return format_usd(value)
    if value.startswith(_FORMULA):
        value = "'" + value
    if any(sign in value for sign in _QUOTED):
        return '"' + value.replace('"', '""') + '"'
    return value
