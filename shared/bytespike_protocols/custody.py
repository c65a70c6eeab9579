"""Custody of opaque reasoning state on its way through a client of another dialect.

A vendor's signature or encrypted thoughts are wrapped with their origin, so that when the client
hands them back they reach their issuer unchanged, and nobody else. A payload that was not wrapped
by us is the client's own dialect's: it came over a relay.
"""

from __future__ import annotations

import re

from bytespike_protocols.ir import Dialect, Opaque

__all__ = ["carries_wrapped", "unwrap", "wrap"]

#: ``bsp1.<issuer>.<model>.<payload>``: characters that base64, URLs and JSON all leave alone.
_PREFIX = "bsp1"
_WRAPPED = re.compile(rf"{_PREFIX}\.([a-z_]+)\.([^.]*)\.(.*)", re.DOTALL)
#: The prefix in a body: as text; Gemini's field is base64 as a whole, so there alone or after the
#: mark of thoughts that may not be shown.
_MARK = b"bsp1."
_GEMINI_MARKS = (b"YnNwMS", b"cmVkYWN0ZWQu")
_MODEL_CHARS = re.compile(r"[^A-Za-z0-9_-]")


def wrap(opaque: Opaque, *, carrier: Dialect) -> str:
    """The text to put where ``carrier`` keeps its own state: plain if it is its own."""
    if opaque.issuer is carrier:
        return opaque.payload
    model = _MODEL_CHARS.sub("-", opaque.model)
    return f"{_PREFIX}.{opaque.issuer.value}.{model}.{opaque.payload}"


def unwrap(text: str, *, carrier: Dialect) -> Opaque:
    """What a client handed back in a field of ``carrier``'s."""
    match = _WRAPPED.fullmatch(text)
    if match is None or match[1] not in Dialect._value2member_map_:
        return Opaque(issuer=carrier, payload=text)
    return Opaque(issuer=Dialect(match[1]), payload=match[3], model=match[2])


def carries_wrapped(body: bytes, carrier: Dialect) -> bool:
    """Whether a client's request in ``carrier`` may hold state that is in our custody, which no
    vendor but its issuer may see. Such a body must not be relayed as it is: decoded and encoded
    again by its own dialect's codec it goes without. Never False for a body that holds some.
    """
    # Large bodies are searched whole, so only for what this dialect's fields can hold.
    if carrier is not Dialect.GEMINI:
        return _MARK in body
    return any(mark in body for mark in _GEMINI_MARKS)
