"""Faults: how an answer goes wrong, spelled as ``name`` or ``name=value`` in a comma list.

Pure. The same spelling arrives in the ``x-simulator-fault`` header, after a ``+`` in the model name
and in scripted replies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

__all__ = [
    "DEFAULT_ERROR_BODY",
    "FAULT_NAMES",
    "NO_FAULTS",
    "FaultSyntaxError",
    "Faults",
    "Pause",
    "parse_faults",
]

#: No fault may keep a test hanging longer than this.
MAX_WAIT_S = 600.0
#: Bounds what one fault can make the simulator hold in memory.
MAX_COUNT = 256 * 1024 * 1024
#: The type of an error in disguise where the fault names none; vendors say it in their own words.
DEFAULT_ERROR_BODY = "overloaded_error"


class FaultSyntaxError(ValueError):
    """The text names no known fault, or a value that does not fit it."""


class Pause(NamedTuple):
    """Something that happens once ``after_events`` events are out: a wait or a named hold."""

    value: float | str
    after_events: int


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What to do to one answer. Times in seconds unless the name says otherwise."""

    stall_before_s: float = 0.0
    stall_after: Pause | None = None
    hold: str = ""
    hold_after: Pause | None = None
    connect_drop: bool = False
    status: int = 0
    retry_after_s: int | None = None
    error_body: str = ""
    error_event_after: int | None = None
    cut_after: int | None = None
    cut_bytes: int | None = None
    slow_ms: int = 0
    split: int = 0
    no_usage: bool = False
    refusal: bool = False
    refusal_late: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    text_bytes: int | None = None
    events: int | None = None


NO_FAULTS = Faults()


def _flag(_: str) -> bool:
    return True


def _seconds(text: str) -> float:
    return _bounded(float(text), MAX_WAIT_S)


def _count(text: str) -> int:
    return int(_bounded(int(text), MAX_COUNT))


def _bounded(value: float, most: float) -> float:
    if not 0 <= value <= most:
        raise ValueError(f"must be between 0 and {most:g}")
    return value


def _status(text: str) -> int:
    status = int(text)
    if not 200 <= status <= 599:
        raise ValueError("must be an HTTP status of 200 to 599")
    return status


def _name(text: str) -> str:
    if not text:
        raise ValueError("needs a name")
    return text


def _pause(value: Callable[[str], float | str]) -> Callable[[str], Pause]:
    def parse(text: str) -> Pause:
        before, at, events = text.partition("@")
        return Pause(value(before), _count(events) if at else 1)

    return parse


#: Fault name -> (field of Faults, how to read its value, the value when only the name is given).
_SYNTAX: Mapping[str, tuple[str, Callable[[str], Any], str | None]] = {
    "stall-before": ("stall_before_s", _seconds, None),
    "stall-after": ("stall_after", _pause(_seconds), None),
    "hold": ("hold", _name, None),
    "hold-after": ("hold_after", _pause(_name), None),
    "connect-drop": ("connect_drop", _flag, ""),
    "status": ("status", _status, None),
    "retry-after": ("retry_after_s", _count, None),
    "error-body": ("error_body", _name, DEFAULT_ERROR_BODY),
    "error-event-after": ("error_event_after", _count, None),
    "cut-after": ("cut_after", _count, None),
    "cut-bytes": ("cut_bytes", _count, None),
    "slow": ("slow_ms", _count, None),
    "split": ("split", _count, None),
    "no-usage": ("no_usage", _flag, ""),
    "refusal": ("refusal", _flag, ""),
    "refusal-late": ("refusal_late", _flag, ""),
    "input-tokens": ("input_tokens", _count, None),
    "output-tokens": ("output_tokens", _count, None),
    "text-bytes": ("text_bytes", _count, None),
    "events": ("events", _count, None),
}

FAULT_NAMES = tuple(_SYNTAX)


def parse_faults(*texts: str) -> Faults:
    """Read comma lists, later ones winning. Raises :class:`FaultSyntaxError` naming the part."""
    fields: dict[str, Any] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        if part:
            field, value = _parse_one(part)
            fields[field] = value
    return Faults(**fields) if fields else NO_FAULTS


def _parse_one(part: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if name not in _SYNTAX:
        raise FaultSyntaxError(f"unknown fault {name!r}; known: {', '.join(FAULT_NAMES)}")
    field, parse, default = _SYNTAX[name]
    text = value if equals else default
    if text is None:
        raise FaultSyntaxError(f"fault {name!r} needs a value: {name}=...")
    try:
        return field, parse(text)
    except ValueError as error:
        raise FaultSyntaxError(f"fault {name!r}: {error}") from error
