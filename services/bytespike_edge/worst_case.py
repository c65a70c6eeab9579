"""The most a request can cost, from its bytes alone. Pure.

The hold taken at admission is this number, so it must lean to the dear side without refusing
customers who can pay: too low and a wallet pays less than was delivered (our loss, see the ledger's
shortfall), too high and a customer is refused with money left. No tokenizer runs here; each
constant says where it comes from. The body is read by structure, not by searching for words, so
nothing can be hidden by escapes or faked inside a text; what cannot be read is taken at its
dearest, because the vendor will refuse it and a refusal is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import MicroUsd, Rates, TokenUsage, price

__all__ = ["WorstCase", "worst_case"]

#: English runs at four bytes a token and CJK at three to a character of one or two tokens; JSON
#: punctuation, which no vendor bills, makes up for denser text.
BYTES_PER_TOKEN = 3
#: Anthropic scales images down to at most about 1.15 megapixels, at one token per 750 pixels.
IMAGE_TOKENS = 1_600
#: A page of a PDF is billed as its text (1,500 to 3,000 tokens) and as an image.
PAGE_TOKENS = 3_000 + IMAGE_TOKENS
#: The densest pages seen: a page of plain prose, compressed. Scans are twenty times larger.
BYTES_PER_PAGE = 3_000
#: A document given by reference has no size here; the vendor takes at most this many pages.
MAX_PAGES = 100
#: The vendor's own instructions for using tools, added to any request that declares some
#: (published per model: 264 to 530).
TOOL_PROMPT_TOKENS = 530
#: The vendor pauses a turn after ten server-side steps, so ten searches where no limit is given.
DEFAULT_SEARCHES = 10
#: What one search adds to the input: some ten results, each an excerpt of a page.
SEARCH_RESULT_TOKENS = 4_000


class WorstCase(NamedTuple):
    """The upper bound of a request: ``usage`` priced at the rates it was estimated for."""

    usage: TokenUsage
    amount_uusd: MicroUsd

    @property
    def input_tokens(self) -> int:
        """All input, whatever bucket it is priced in."""
        usage = self.usage
        return usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens


def worst_case(
    body_bytes: int,
    fields: Mapping[str, msgspec.Raw],
    *,
    max_tokens: int,
    model: Model,
    rates: Rates,
) -> WorstCase:
    """The bound for a Messages body of ``body_bytes`` whose top level is ``fields``.

    Input and output are each bounded by the context window: the vendor refuses anything beyond.
    """
    try:
        found = _read(fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = _unreadable(fields)
    text_tokens = -(-(body_bytes - found.media_bytes) // BYTES_PER_TOKEN)
    input_tokens = min(text_tokens + found.extra_tokens, model.context_window)
    # Search results come on top of the window: they arrive in later steps, each billed again.
    input_tokens += found.searches * SEARCH_RESULT_TOKENS
    usage = TokenUsage(
        **{_dearest_bucket(found, rates): input_tokens},
        output_tokens=min(max_tokens, model.context_window),
        web_searches=found.searches,
    )
    return WorstCase(usage, price(usage, rates))


class _Found:
    """What a body holds besides text."""

    __slots__ = ("cache_1h", "cache_5m", "extra_tokens", "media_bytes", "searches")

    def __init__(self) -> None:
        self.cache_5m = False
        self.cache_1h = False
        #: Tokens that no byte of the body stands for, media included.
        self.extra_tokens = 0
        #: Bytes that are base64, not text.
        self.media_bytes = 0
        self.searches = 0

    def note_cache(self, control: _CacheControl | None) -> None:
        if control is not None:
            self.cache_5m = True
            self.cache_1h = self.cache_1h or control.ttl == "1h"


# Views of the parts that matter; everything they do not name is skipped, not checked. Where the
# vendor allows several shapes, so do they. They live for one call and form no cycles: no gc.


class _CacheControl(msgspec.Struct, gc=False):
    ttl: str | None = None


class _Anything(msgspec.Struct, gc=False):
    """An object whose fields are of no interest."""


class _Source(msgspec.Struct, gc=False):
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    content: str | list[_Block | str] | None = None


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    cache_control: _CacheControl | None = None
    source: str | _Source | None = None
    content: str | list[_Block | str] | _Anything | None = None


class _Turn(msgspec.Struct, gc=False):
    content: str | list[_Block | str] | None = None


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None
    max_uses: int | None = None
    cache_control: _CacheControl | None = None


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_system = msgspec.json.Decoder(str | list[_Block | str] | None).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_cache_control = msgspec.json.Decoder(_CacheControl | None).decode


def _read(fields: Mapping[str, msgspec.Raw]) -> _Found:
    found = _Found()
    for turn in _decode_turns(fields["messages"]):
        if type(turn.content) is list:
            _note_blocks(turn.content, found)
    if "system" in fields:
        system = _decode_system(fields["system"])
        if type(system) is list:
            _note_blocks(system, found)
    if "tools" in fields:
        _note_tools(_decode_tools(fields["tools"]) or [], found)
    if "cache_control" in fields:
        found.note_cache(_decode_cache_control(fields["cache_control"]))
    return found


def _unreadable(fields: Mapping[str, msgspec.Raw]) -> _Found:
    found = _Found()
    found.cache_5m = found.cache_1h = True
    if "tools" in fields:
        found.extra_tokens = TOOL_PROMPT_TOKENS
        found.searches = DEFAULT_SEARCHES
    return found


def _note_tools(tools: list[_Tool], found: _Found) -> None:
    if tools:
        found.extra_tokens += TOOL_PROMPT_TOKENS
    for tool in tools:
        found.note_cache(tool.cache_control)
        if tool.type is not None and tool.type.startswith("web_search_"):
            found.searches += DEFAULT_SEARCHES if tool.max_uses is None else max(0, tool.max_uses)


def _note_blocks(blocks: list[_Block | str], found: _Found) -> None:
    for block in _flat(blocks):
        found.note_cache(block.cache_control)
        if block.type == "image":
            found.extra_tokens += IMAGE_TOKENS
            found.media_bytes += _encoded_bytes(block.source)
        elif block.type == "document":
            found.extra_tokens += _document_tokens(block.source)
            found.media_bytes += _encoded_bytes(block.source)


def _flat(blocks: list[_Block | str]) -> Iterator[_Block]:
    """The blocks and those inside tool results and documents. Nowhere else does the vendor read
    blocks: an image's shape inside a tool's arguments is text to the model.
    """
    pending: list[Any] = [blocks]
    while pending:
        for block in pending.pop():
            if type(block) is not _Block:
                continue
            yield block
            if block.type == "tool_result" and type(block.content) is list:
                pending.append(block.content)
            elif type(block.source) is _Source and type(block.source.content) is list:
                pending.append(block.source.content)


def _encoded_bytes(source: str | _Source | None) -> int:
    if type(source) is not _Source or source.type != "base64":
        return 0
    return len(memoryview(source.data))


def _document_tokens(source: str | _Source | None) -> int:
    if type(source) is not _Source:
        return 0
    if source.type in ("text", "content"):
        return 0  # text counts by its bytes, nested blocks are met on their own
    encoded_bytes = _encoded_bytes(source)
    if not encoded_bytes:
        return MAX_PAGES * PAGE_TOKENS
    pages = -(-encoded_bytes * 3 // 4 // BYTES_PER_PAGE)  # base64: three bytes in four
    return min(MAX_PAGES, max(1, pages)) * PAGE_TOKENS


def _dearest_bucket(found: _Found, rates: Rates) -> str:
    """Where every input token would cost most if the whole prompt were written to the cache."""
    bucket, rate = "input_tokens", rates.input_uusd
    if found.cache_5m and rates.cache_write_5m_uusd > rate:
        bucket, rate = "cache_write_5m_tokens", rates.cache_write_5m_uusd
    if found.cache_1h and rates.cache_write_1h_uusd > rate:
        bucket = "cache_write_1h_tokens"
    return bucket
