"""One field in one request: what a row of the loss policy is tried with."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from typing import Any

import msgspec

__all__ = ["ABSENT", "Sample", "walk"]

#: In place of a value: the field is left out.
ABSENT: Any = object()

_STEP = re.compile(r"\.?([A-Za-z_]+)|\[(-?\d*)\]")


class Sample(msgspec.Struct, frozen=True):
    """``value`` at the row's path (or at ``at``, which has places) of ``base``. The same request
    without the field, or with ``other`` in it where something must stand there, is what the field's
    effect is told by. ``[]`` in a path is the last element; a path that ends so adds an element.
    """

    value: Any
    base: dict[str, Any]
    at: str = ""
    other: Any = ABSENT

    def bodies(self, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The request with the field and the one without."""
        place = self.at or path
        return _set(self.base, place, self.value), _set(self.base, place, self.other)


def _set(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(base)
    steps = [
        match[1] if match[1] is not None else int(match[2] or -1) for match in _STEP.finditer(path)
    ]
    here: Any = body
    for step, following in pairwise(steps):
        if isinstance(step, str) and step not in here:
            if value is ABSENT:
                return body
            here[step] = [] if isinstance(following, int) else {}
        here = here[step]
    last = steps[-1]
    if value is ABSENT:
        if isinstance(last, str):
            here.pop(last, None)
    elif isinstance(last, int):
        here.append(value)
    else:
        here[last] = value
    return body


def walk(value: Any, name: str | None = None) -> list[tuple[str | None, str]]:
    """Every value in a body with the name it goes by, as comparable text."""
    found = [(name, msgspec.json.encode(value, order="sorted").decode())]
    if isinstance(value, dict):
        for key, child in value.items():
            found += walk(child, key)
    if isinstance(value, list):
        for child in value:
            found += walk(child)
    return found
