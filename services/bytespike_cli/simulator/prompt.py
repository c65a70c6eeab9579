"""What a prompt counts, and which part of it the vendor's prompt cache already holds.

Token counts are invented but fixed: four bytes of text a token, so that a test can work out what it
will be charged. The clock is passed in.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from bytespike_cli.simulator.requests import CountRequest

__all__ = ["PromptCache", "PromptUsage", "count_prompt", "text_tokens"]

BYTES_PER_TOKEN = 4
#: Role markers and the like, for each message.
MESSAGE_TOKENS = 3
IMAGE_TOKENS = 1_600
#: Base64 characters of a document a token; pages hold far more bytes than words.
DOCUMENT_BYTES_PER_TOKEN = 100

_TTL_MS: dict[str, int] = {"5m": 300_000, "1h": 3_600_000}
#: Far more prefixes than one test run caches; the oldest go first.
_MAX_CACHED_PREFIXES = 4_096

Ttl = Literal["5m", "1h"]


class PromptUsage(NamedTuple):
    """The prompt's tokens in disjoint buckets."""

    fresh: int
    read: int
    write_5m: int
    write_1h: int


class _Part(NamedTuple):
    """One cacheable piece of a prompt, in the vendor's order: tools, system, messages."""

    content: bytes
    tokens: int
    breakpoint: Ttl | None


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def count_prompt(body: bytes, request: CountRequest) -> int:
    """Tokens of the whole prompt, what ``count_tokens`` answers."""
    return sum(part.tokens for part in _parts(body, request))


class PromptCache:
    """Which prompt prefixes a model has seen lately, as the vendor's ``cache_control`` works.

    There is no smallest size here (the vendor's is about a thousand tokens): a test should not
    need a long prompt to see a cache read.
    """

    def __init__(self) -> None:
        self._expires_ms: OrderedDict[bytes, int] = OrderedDict()

    def use(self, body: bytes, request: CountRequest, now_ms: int) -> PromptUsage:
        """Count the prompt against what is cached, then cache what it asks to."""
        parts = list(_parts(body, request))
        prefixes = _prefix_hashes(request.model, parts)
        marked = [at for at, part in enumerate(parts) if part.breakpoint is not None]
        last = marked[-1] if marked else -1
        hit = max((at for at in range(last + 1) if self._live(prefixes[at], now_ms)), default=-1)
        written = {"5m": 0, "1h": 0}
        start = hit + 1
        for at in marked:
            ttl = parts[at].breakpoint or "5m"
            written[ttl] += sum(part.tokens for part in parts[start : at + 1])
            start = max(start, at + 1)
            self._store(prefixes[at], now_ms + _TTL_MS[ttl])
        return PromptUsage(
            fresh=sum(part.tokens for part in parts[last + 1 :]),
            read=sum(part.tokens for part in parts[: hit + 1]),
            write_5m=written["5m"],
            write_1h=written["1h"],
        )

    def clear(self) -> None:
        """Forget everything."""
        self._expires_ms.clear()

    def _live(self, prefix: bytes, now_ms: int) -> bool:
        return self._expires_ms.get(prefix, 0) > now_ms

    def _store(self, prefix: bytes, expires_ms: int) -> None:
        self._expires_ms[prefix] = expires_ms
        self._expires_ms.move_to_end(prefix)
        if len(self._expires_ms) > _MAX_CACHED_PREFIXES:
            self._expires_ms.popitem(last=False)


def _prefix_hashes(model: str, parts: list[_Part]) -> list[bytes]:
    running, hashes = hashlib.sha256(model.encode()), []
    for part in parts:
        running.update(len(part.content).to_bytes(8, "big") + part.content)
        hashes.append(running.copy().digest())
    return hashes


def _parts(body: bytes, request: CountRequest) -> Iterator[_Part]:
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
        yield _Part(
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
        return len(str(value.get("data", ""))) // DOCUMENT_BYTES_PER_TOKEN + 1
    return sum(_tokens(item) for key, item in value.items() if key not in {"type", "signature"})
