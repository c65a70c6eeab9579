"""Rows of numbers, each beside its budget and its yardstick, as text or Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Row", "as_markdown", "as_text", "placed_in"]

_BEGIN, _END = "<!-- bench:begin -->\n", "<!-- bench:end -->\n"
_HEADINGS = ("measure", "gateway", "budget", "", "aiohttp proxy", "direct")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure. ``budget`` None = for information; ``floor``: more is better."""

    measure: str
    unit: str
    gateway: float
    budget: float | None = None
    proxy: float | None = None
    direct: float | None = None
    floor: bool = False

    @property
    def verdict(self) -> str:
        if self.budget is None:
            return ""
        kept = self.gateway >= self.budget if self.floor else self.gateway <= self.budget
        return "ok" if kept else "OVER" if not self.floor else "UNDER"

    def cells(self) -> tuple[str, ...]:
        sign = ">=" if self.floor else "<="
        budget = "" if self.budget is None else f"{sign} {_number(self.budget)}"
        return (
            f"{self.measure} [{self.unit}]",
            _number(self.gateway),
            budget,
            self.verdict,
            _number(self.proxy),
            _number(self.direct),
        )


def as_text(rows: Iterable[Row]) -> str:
    """Aligned columns for a terminal."""
    table = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in (0, 3) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def as_markdown(rows: Iterable[Row], *, command: str) -> str:
    """The same with where, when and how it was measured."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by `{command}` on {_machine()}.",
        "",
        "| " + " | ".join(_HEADINGS) + " |",
        "|---|---:|---:|---|---:|---:|",
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def placed_in(page: str, table: str) -> str:
    """``page`` with ``table`` between its two markers; a page without them becomes the table."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n{table}\n{end}{after}" if end else table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores ({_processor()}), {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            names = [line.partition(":")[2].strip() for line in info if "model name" in line]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
