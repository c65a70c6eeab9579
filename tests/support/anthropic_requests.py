"""Hand-made canonical requests, as a client of another dialect would make them."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import Loss
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Image,
    Json,
    Opaque,
    Request,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)

__all__ = [
    "ANTHROPIC",
    "ASK",
    "GOOGLE",
    "MIDDLE",
    "NEW",
    "OLD",
    "call",
    "encode",
    "result",
    "said",
    "text",
]

OLD, MIDDLE, NEW = "claude-sonnet-4-5-20250929", "claude-opus-4-6", "claude-opus-4-8"
ANTHROPIC = Opaque(issuer=Dialect.ANTHROPIC, payload="sig==")
GOOGLE = Opaque(issuer=Dialect.GEMINI, payload="sig==", model="gemini-3")


def said(role: Role, *blocks: Block | str) -> Turn:
    return Turn(role=role, blocks=tuple(Text(text=b) if isinstance(b, str) else b for b in blocks))


def call(call_id: str, name: str = "f", arguments: str = "{}", **fields: Any) -> ToolUse:
    return ToolUse(id=call_id, name=name, arguments=Json(arguments), **fields)


def result(call_id: str, *content: Text | Image, **fields: Any) -> ToolResult:
    return ToolResult(id=call_id, content=content, **fields)


ASK = Request(
    dialect=Dialect.OPENAI_CHAT, model="alias", turns=(said("user", "hi"),), max_output_tokens=9000
)


def encode(*turns: Turn, model: str = OLD, **fields: Any) -> tuple[dict[str, Any], list[Loss]]:
    request = replace(ASK, **({"turns": turns} if turns else {}), **fields)
    encoded = CODEC.encode_request(request, model=model)
    return json.loads(encoded.body), list(encoded.losses)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}
