"""What a client of each dialect has asked, so that nothing of the answer is kept from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bytespike_protocols.codec import Framing, ReplyContext, RouteHints
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.events import Event
from bytespike_protocols.ir import Dialect

__all__ = ["context_for", "streamed"]

_TURN = {"role": "user", "content": "What is the weather in Paris?"}
_REQUESTS: dict[Dialect, dict[str, Any]] = {
    Dialect.ANTHROPIC: {
        "model": "m",
        "max_tokens": 4096,
        "messages": [_TURN],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "stream": True,
    },
    Dialect.OPENAI_CHAT: {
        "model": "m",
        "messages": [_TURN],
        "reasoning_effort": "medium",
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    Dialect.OPENAI_RESPONSES: {
        "model": "m",
        "input": [_TURN],
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    },
    Dialect.GEMINI: {
        "contents": [{"role": "user", "parts": [{"text": _TURN["content"]}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    },
}


def context_for(target: Dialect, framing: Framing = "sse") -> ReplyContext:
    """The request as the dialect's own codec reads it, and the rest of what an answer needs."""
    body = json.dumps(_REQUESTS[target]).encode()
    return ReplyContext(
        request=CODECS[target].decode_request(body, RouteHints(model="m", stream=True)),
        request_id="req_01JCZK3V5Q8M2N4P6R7S9T0V1W",
        created_s=1_795_000_000,
        model="m",
        framing=framing,
    )


def streamed(events: Iterable[Event], target: Dialect, framing: Framing = "sse") -> list[bytes]:
    """What a client of ``target`` receives, event by event."""
    encoder = CODECS[target].stream_encoder(context_for(target, framing))
    return [encoder.feed(event) for event in events]
