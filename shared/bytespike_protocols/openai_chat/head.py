"""The head of a Chat Completions request (see ``heads``)."""

from __future__ import annotations

from bytespike_protocols.heads import (
    Fields,
    Head,
    check_filled,
    read_cap,
    read_flag,
    read_model,
)

__all__ = ["read_head"]

#: The vendor's own limit of ``n``.
_MAX_CANDIDATES = 128


def read_head(fields: Fields) -> Head:
    """``POST /v1/chat/completions``. Raises ``BadClientMessage`` with the field's path on a missing
    or mistyped field.

    With both spellings of the cap the larger one counts: which of them a host obeys is its own
    choice. A cap of 0 is refused, because there are hosts to which it means none.
    """
    model = read_model(fields)
    check_filled(fields, "messages", "message")
    caps = [
        cap
        for name in ("max_completion_tokens", "max_tokens")
        if (cap := read_cap(fields, name)) is not None
    ]
    return Head(
        model,
        max(caps, default=None),
        read_flag(fields, "stream"),
        read_cap(fields, "n", most=_MAX_CANDIDATES) or 1,
    )
