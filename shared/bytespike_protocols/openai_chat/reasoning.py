"""Thoughts in a dialect that has no official place for them.

Words go into ``reasoning_content`` (DeepSeek's custom, widely read) and state that must come back
into ``reasoning_details`` (OpenRouter's): objects of type ``reasoning.text`` with a ``signature``,
or ``reasoning.encrypted`` with ``data``. A detail made by a vendor of this dialect is itself the
opaque payload, because such vendors want the object back unchanged; a detail made by us holds
another issuer's state in custody.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bytespike_protocols.custody import unwrap, wrap
from bytespike_protocols.ir import Dialect, Opaque, RedactedThinking, Thinking

__all__ = ["ENCRYPTED", "block_of_detail", "carries_thoughts", "detail_of", "words_of"]

OURS = Dialect.OPENAI_CHAT
#: The type of a detail without words.
ENCRYPTED = "reasoning.encrypted"

_FIELDS_BEGIN = b'"reasoning_'
_FIELDS = (b'"reasoning_content"', b'"reasoning_details"')

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def carries_thoughts(body: bytes) -> bool:
    """Whether a client's request may hold thoughts of earlier answers. OpenAI itself, which never
    shows any, refuses them. Never False for a body that holds some.
    """
    # Large bodies are searched whole, most of them but once.
    return _FIELDS_BEGIN in body and any(field in body for field in _FIELDS)


def words_of(detail: Mapping[str, object]) -> str:
    """The readable part of a detail."""
    words = detail.get("text") or detail.get("summary")
    return words if isinstance(words, str) else ""


def block_of_detail(
    detail: Mapping[str, object], *, model: str = ""
) -> Thinking | RedactedThinking | None:
    """The thought a detail stands for; None if it holds nothing."""
    opaque = _opaque_of(detail, model)
    if detail.get("type") == ENCRYPTED:
        return RedactedThinking(opaque=opaque) if opaque is not None else None
    words = words_of(detail)
    return Thinking(text=words, opaque=opaque) if words or opaque is not None else None


def detail_of(block: Thinking | RedactedThinking, *, index: int) -> object | None:
    """The detail for a thought with state; None without state, or if the state that claims to be
    this dialect's is not a detail.
    """
    opaque = block.opaque
    if opaque is None:
        return None
    if opaque.issuer is OURS:
        return _own_detail(opaque.payload)
    state = wrap(opaque, carrier=OURS)
    if isinstance(block, RedactedThinking):
        return {"type": ENCRYPTED, "data": state, "index": index}
    return {"type": "reasoning.text", "text": block.text, "signature": state, "index": index}


def _own_detail(payload: str) -> msgspec.Raw | None:
    # It has been in a client's hands: nothing but a JSON object may be pasted into a body.
    try:
        raw = payload.encode()
        _object.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return msgspec.Raw(raw)


def _opaque_of(detail: Mapping[str, object], model: str) -> Opaque | None:
    state = detail.get("signature") or detail.get("data")
    if not isinstance(state, str):
        return None
    found = unwrap(state, carrier=OURS)
    if found.issuer is not OURS:
        return found
    return Opaque(issuer=OURS, payload=msgspec.json.encode(detail).decode(), model=model)
