"""Switches a client sets by header. Pure.

Anything but ``true`` and ``false`` is refused: whoever misspells "dry run" must not be charged.
"""

from __future__ import annotations

from collections.abc import Mapping

from multidict import istr

from bytespike_contracts.errors import ErrorCode, GatewayError

__all__ = ["dry_run_wanted", "strict_wanted"]

_DRY_RUN = istr("X-ByteSpike-Dry-Run")
_STRICT = istr("X-ByteSpike-Strict")


def dry_run_wanted(headers: Mapping[str, str]) -> bool:
    """Price the request and do nothing else. Raises :class:`GatewayError` (400)."""
    return _flag(headers, _DRY_RUN)


def strict_wanted(headers: Mapping[str, str]) -> bool:
    """Refuse rather than drop what cannot be carried. Raises :class:`GatewayError` (400)."""
    return _flag(headers, _STRICT)


def _flag(headers: Mapping[str, str], name: istr) -> bool:
    value = headers.get(name)
    if value is None:
        return False
    word = value.strip().lower()
    if word not in ("true", "false"):
        raise GatewayError(ErrorCode.INVALID_REQUEST, f"header {name} must be true or false")
    return word == "true"
