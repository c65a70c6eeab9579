"""Thought signatures in and out of parts.

The field is ``bytes`` on Google's side: its clients decode it from base64 and write it again (in
the URL-safe alphabet), so a wrapped payload of another issuer must be base64 as a whole.
"""

from __future__ import annotations

import base64
import binascii

from bytespike_protocols.custody import unwrap, wrap
from bytespike_protocols.ir import Dialect, Opaque, RedactedThinking, Thinking

__all__ = ["STAND_IN", "read_signature", "read_thought", "write_redacted", "write_signature"]

#: Google's documented value for a call whose signature nobody has.
STAND_IN = "skip_thought_signature_validator"

#: Inside the base64: thinking that may not be shown must come back as that and nothing else.
_REDACTED = "redacted."
_WRAPPED = b"bsp1."
_URL_SAFE = str.maketrans("-_", "+/")


def read_signature(value: str, model: str = "") -> Opaque:
    """What ``thoughtSignature`` holds; ``model`` made it if it is Gemini's own."""
    _, opaque = _read(value, model)
    return opaque


def read_thought(text: str, value: str | None) -> Thinking | RedactedThinking:
    """The block of a part with ``thought: true``."""
    if value is None:
        return Thinking(text=text)
    redacted, opaque = _read(value, "")
    return RedactedThinking(opaque=opaque) if redacted else Thinking(text=text, opaque=opaque)


def write_signature(opaque: Opaque) -> str:
    """The value of ``thoughtSignature``: plain for Gemini's own, wrapped for any other."""
    if opaque.issuer is Dialect.GEMINI:
        return opaque.payload
    return _encode(wrap(opaque, carrier=Dialect.GEMINI))


def write_redacted(block: RedactedThinking) -> str:
    """As :func:`write_signature`, marked so that it comes back as redacted thinking."""
    return _encode(_REDACTED + wrap(block.opaque, carrier=Dialect.GEMINI))


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _read(value: str, model: str) -> tuple[bool, Opaque]:
    own = Opaque(issuer=Dialect.GEMINI, payload=value, model=model)
    try:
        padded = value.translate(_URL_SAFE).rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
        inner = base64.b64decode(padded, validate=True)
        redacted = inner.startswith(_REDACTED.encode())
        inner = inner.removeprefix(_REDACTED.encode())
        if not (redacted or inner.startswith(_WRAPPED)):
            return False, own
        return redacted, unwrap(inner.decode(), carrier=Dialect.GEMINI)
    except (binascii.Error, ValueError):
        return False, own
