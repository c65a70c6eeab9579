"""What a prompt counts, and which part of it the vendor's prompt cache already holds.

The clock is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from bytespike_cli.simulator.dialects.anthropic.requests import CountRequest
from bytespike_cli.simulator.prefixes import TTL_MS, Part, PrefixCache, prefix_hashes
from bytespike_cli.simulator.tokens import (
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    encoded_tokens,
    text_tokens,
)

__all__ = ["PromptUsage", "count_prompt", "use_cache"]


class PromptUsage(NamedTuple):
    """The prompt's tokens in disjoint buckets."""

    fresh: int
    read: int
    write_5m: int
    write_1h: int


def count_prompt(body: bytes, request: CountRequest) -> int:
    """Tokens of the whole prompt, what ``count_tokens`` answers."""
    return sum(part.tokens for part in _parts(body, request))


def use_cache(cache: PrefixCache, body: bytes, request: CountRequest, now_ms: int) -> PromptUsage:
    """Count the prompt against what is cached, then cache what it asks to, as ``cache_control``
    works. There is no smallest size here (the vendor's is about a thousand tokens): a test should
    not need a long prompt to see a cache read.
    """
    parts = list(_parts(body, request))
    prefixes = prefix_hashes(request.model, parts)
    marked = [at for at, part in enumerate(parts) if part.breakpoint is not None]
    last = marked[-1] if marked else -1
    hit = max((at for at in range(last + 1) if cache.live(prefixes[at], now_ms)), default=-1)
    written = {"5m": 0, "1h": 0}
    start = hit + 1
    for at in marked:
        ttl = parts[at].breakpoint or "5m"
        written[ttl] += sum(part.tokens for part in parts[start : at + 1])
        start = max(start, at + 1)
        cache.store(prefixes[at], now_ms + TTL_MS[ttl])
    return PromptUsage(
        fresh=sum(part.tokens for part in parts[last + 1 :]),
        read=sum(part.tokens for part in parts[: hit + 1]),
        write_5m=written["5m"],
        write_1h=written["1h"],
    )


def _parts(body: bytes, request: CountRequest) -> Iterator[Part]:
    """Every piece with its tokens. Works on the plain JSON, so fields nobody typed count too."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    pieces = [
        *(("", 0, tool) for tool in fields.get("tools", ())),
        *(("system", 0, block) for block in _as_blocks(fields.get("system", ""))),
    ]
    for message in fields["messages"]:
        blocks = _as_blocks(message["content"])
        pieces += [
            (message["role"], 0 if at else MESSAGE_TOKENS, block) for at, block in enumerate(blocks)
        ]
    for at, (role, overhead, piece) in enumerate(pieces):
        control = piece.get("cache_control")
        if control is None and at == len(pieces) - 1 and request.cache_control is not None:
            control = fields["cache_control"]
        content = {key: value for key, value in piece.items() if key != "cache_control"}
        yield Part(
            role.encode() + msgspec.json.encode(content),
            overhead + _tokens(content),
            control.get("ttl", "5m") if control else None,
        )


def _as_blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return text_tokens(value)
    if isinstance(value, list):
        return sum(_tokens(item) for item in value)
    if not isinstance(value, dict):
        return 1
    if value.get("type") == "image":
        return IMAGE_TOKENS
    if value.get("type") == "base64":
        return encoded_tokens(str(value.get("data", "")))
    return sum(_tokens(item) for key, item in value.items() if key not in {"type", "signature"})
