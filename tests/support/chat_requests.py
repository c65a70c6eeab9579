"""Requests of other dialects for the Chat codec, in few words."""

from __future__ import annotations

import json
from typing import Any

from bytespike_protocols.codec import Codec
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Json,
    Request,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.openai_chat import CODEC

__all__ = ["call", "encode", "messages", "result", "turn", "user"]


def user(*blocks: Block | str) -> Turn:
    return turn("user", *blocks)


def turn(role: Role, *blocks: Block | str) -> Turn:
    return Turn(role=role, blocks=tuple(Text(text=b) if isinstance(b, str) else b for b in blocks))


def call(call_id: str = "toolu_1", name: str = "get_weather", **fields: Any) -> ToolUse:
    return ToolUse(id=call_id, name=name, arguments=Json("{}"), **fields)


def result(call_id: str = "toolu_1", *blocks: Any, **fields: Any) -> ToolResult:
    content = tuple(Text(text=b) if isinstance(b, str) else b for b in blocks)
    return ToolResult(id=call_id, content=content, **fields)


def encode(
    *turns: Turn,
    codec: Codec = CODEC,
    dialect: Dialect = Dialect.ANTHROPIC,
    **fields: Any,
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    request = Request(dialect=dialect, model="client-name", turns=turns, **fields)
    encoded = codec.encode_request(request, model="gpt-x")
    losses = [(loss.path, str(loss.verdict)) for loss in encoded.losses]
    body = json.loads(encoded.body)
    assert body.pop("model") == "gpt-x"
    return body, losses


def messages(*turns: Turn, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = encode(*turns, **fields)[0]["messages"]
    return found
