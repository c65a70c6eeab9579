"""The head of a Responses request (see ``heads``)."""

from __future__ import annotations

from bytespike_protocols.heads import Fields, Head, read_cap, read_flag, read_model

__all__ = ["read_head"]


def read_head(fields: Fields) -> Head:
    """``POST /v1/responses``. Raises ``BadClientMessage`` with the field's path on a missing or
    mistyped field. There may be no ``input``: an answer can also go on from a stored one.
    """
    model = read_model(fields)
    return Head(model, read_cap(fields, "max_output_tokens"), read_flag(fields, "stream"))
