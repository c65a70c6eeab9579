"""The head of a Messages request (see ``heads``)."""

from __future__ import annotations

from bytespike_protocols.heads import (
    Fields,
    Head,
    check_filled,
    read_flag,
    read_integer,
    read_model,
)

__all__ = ["read_count_head", "read_head"]


def read_head(fields: Fields) -> Head:
    """``POST /v1/messages``. Raises ``BadClientMessage`` with the field's path on a missing or
    mistyped field.
    """
    model = read_model(fields)
    check_filled(fields, "messages", "message")
    return Head(model, read_integer(fields, "max_tokens"), read_flag(fields, "stream"))


def read_count_head(fields: Fields) -> Head:
    """``POST /v1/messages/count_tokens``; raises as :func:`read_head`."""
    model = read_model(fields)
    check_filled(fields, "messages", "message")
    return Head(model)
