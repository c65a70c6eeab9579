"""How answers of the management API look to people where a table does not fit."""

from __future__ import annotations

from typing import Any

from bytespike_cli.tables import fields

__all__ = ["thing"]


def thing(answer: Any) -> str:
    """One thing, a line per field."""
    return fields(answer)
