"""Blocks of an answer as parts, for streamed and whole answers alike."""

from __future__ import annotations

from typing import Any

import msgspec

from bytespike_protocols.gemini.fields import is_json_object
from bytespike_protocols.gemini.signature import write_redacted, write_signature
from bytespike_protocols.ir import Json, Opaque, RedactedThinking, ToolUse

__all__ = ["Part", "call_part", "one_line", "redacted_part", "text_part"]

Part = dict[str, Any]


def text_part(text: str, *, thought: bool = False, opaque: Opaque | None = None) -> Part:
    """Text or thought, perhaps signed."""
    part: Part = {"text": text}
    if thought:
        part["thought"] = True
    if opaque is not None:
        part["thoughtSignature"] = write_signature(opaque)
    return part


def redacted_part(block: RedactedThinking) -> Part:
    """Thinking that may not be shown: nothing but its state."""
    return {"text": "", "thought": True, "thoughtSignature": write_redacted(block)}


def call_part(block: ToolUse) -> Part | None:
    """A whole call; None if its arguments are not a JSON object (the vendor's model was cut off, or
    wrote nonsense), for which Google has no form.
    """
    text = block.arguments if block.arguments.strip() else Json("{}")
    if not is_json_object(text):
        return None
    call = {"name": block.name, "args": one_line(text), "id": block.id}
    part: Part = {"functionCall": call}
    if block.opaque is not None:
        part["thoughtSignature"] = write_signature(block.opaque)
    return part


def one_line(value: Json) -> msgspec.Raw:
    """JSON fit for a chunk, which is one line; untouched if it is already."""
    text = value.encode()
    # Inside of strings line breaks are escaped: these are between the tokens.
    return msgspec.Raw(
        msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text
    )
