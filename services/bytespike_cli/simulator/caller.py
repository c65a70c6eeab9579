"""Credentials every vendor of the simulator knows, or does not."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BAD_KEY", "bearer"]

#: The one key no vendor knows; any other non-empty key will do.
BAD_KEY = "sk-sim-bad"


def bearer(headers: Mapping[str, str]) -> str:
    """The bearer token, empty if there is none."""
    return headers.get("authorization", "").partition("Bearer ")[2]
