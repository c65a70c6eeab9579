"""The most a request can cost, from its bytes alone. Pure.

The hold taken at admission is this number, so it must lean to the dear side without refusing
customers who can pay: too low and a wallet pays less than was delivered (our loss, see the ledger's
shortfall), too high and a customer is refused with money left. No tokenizer runs here; each
constant says where it comes from. What is counted can never be hidden from the count by spelling:
a body that escapes plain letters is read with the escapes undone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

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

#: Escapes of ASCII letters, digits' neighbours and ``_``: JSON encoders never write these, so
#: somebody is hiding a word. (``\u003c`` and its like are ordinary and do not match.)
_HIDDEN_LETTER = re.compile(rb"\\u00[4-7]", re.IGNORECASE)
_decode_messages = msgspec.json.Decoder(list[object]).decode


class WorstCase(NamedTuple):
    """The upper bound of a request: ``usage`` priced at the rates it was estimated for."""

    usage: TokenUsage
    amount_uusd: MicroUsd

    @property
    def input_tokens(self) -> int:
        """All input, whatever bucket it is priced in."""
        usage = self.usage
        return usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens


class _Tool(msgspec.Struct):
    type: str | None = None
    max_uses: int | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode


def worst_case(
    body: bytes, fields: Mapping[str, msgspec.Raw], *, max_tokens: int, model: Model, rates: Rates
) -> WorstCase:
    """The bound for a Messages body whose top level is ``fields``.

    Input and output are each bounded by the context window: the vendor refuses anything beyond, and
    a refusal is free.
    """
    hidden = b"\\u00" in body and _HIDDEN_LETTER.search(body) is not None
    input_tokens = -(-len(body) // BYTES_PER_TOKEN)
    if hidden or b'"image"' in body or b'"document"' in body:
        input_tokens = _with_media(len(body), fields.get("messages"))
    searches = 0
    if "tools" in fields:
        input_tokens += TOOL_PROMPT_TOKENS
        if hidden or b"web_search_" in body:
            searches = _searches(fields["tools"])
    # Search results come on top of the window: they arrive in later steps, each billed again.
    input_tokens = min(input_tokens, model.context_window) + searches * SEARCH_RESULT_TOKENS
    bucket = _dearest_bucket(body, rates) if hidden or b"cache_control" in body else "input_tokens"
    usage = TokenUsage(
        **{bucket: input_tokens},
        output_tokens=min(max_tokens, model.context_window),
        web_searches=searches,
    )
    return WorstCase(usage, price(usage, rates))


def _dearest_bucket(body: bytes, rates: Rates) -> str:
    """Where every input token would go if the whole prompt were written to the cache."""
    candidates = {
        "input_tokens": rates.input_uusd,
        "cache_write_5m_tokens": rates.cache_write_5m_uusd,
    }
    if b"1h" in body or b"\\u00" in body:
        candidates["cache_write_1h_tokens"] = rates.cache_write_1h_uusd
    return max(candidates, key=candidates.__getitem__)


def _searches(tools: msgspec.Raw) -> int:
    try:
        declared = _decode_tools(tools)
    except msgspec.DecodeError:  # the vendor will refuse it; until then it is held for dearly
        return DEFAULT_SEARCHES
    return sum(
        DEFAULT_SEARCHES if tool.max_uses is None else max(0, tool.max_uses)
        for tool in declared
        if tool.type is not None and tool.type.startswith("web_search_")
    )


def _with_media(body_bytes: int, messages: msgspec.Raw | None) -> int:
    """Tokens of a body in which some bytes are base64 of a picture or a page, not text."""
    media_bytes = media_tokens = 0
    for block in _media_blocks(messages):
        size, tokens = _media_size(block)
        media_bytes += size
        media_tokens += tokens
    return -(-(body_bytes - media_bytes) // BYTES_PER_TOKEN) + media_tokens


def _media_blocks(messages: msgspec.Raw | None) -> list[dict[str, object]]:
    """Image and document blocks where the vendor reads them as such, and only there: the same
    shape inside a tool's arguments is text to the model.
    """
    try:
        turns = _decode_messages(messages) if messages is not None else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    found: list[dict[str, object]] = []
    pending = [turn.get("content") for turn in turns if isinstance(turn, dict)]
    while pending:
        content = pending.pop()
        for block in content if isinstance(content, list) else ():
            if not isinstance(block, dict):
                continue
            if block.get("type") in ("image", "document"):
                found.append(block)
                pending.append(_nested(block.get("source")))
            elif block.get("type") == "tool_result":
                pending.append(block.get("content"))
    return found


def _nested(source: object) -> object:
    """The blocks inside a document of source type ``content``."""
    return source.get("content") if isinstance(source, dict) else None


def _media_size(block: dict[str, object]) -> tuple[int, int]:
    """``(bytes of the body that are not text, tokens they stand for)`` of one block."""
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    data = source.get("data") if isinstance(source, dict) else None
    encoded = len(data) if kind == "base64" and isinstance(data, str) else 0
    if block["type"] == "image":
        return encoded, IMAGE_TOKENS
    if kind in ("text", "content"):
        return 0, 0  # text counts by its bytes, nested blocks are met on their own
    if kind == "base64":
        pages = min(MAX_PAGES, -(-encoded * 3 // 4 // BYTES_PER_PAGE) or 1)
        return encoded, pages * PAGE_TOKENS
    return 0, MAX_PAGES * PAGE_TOKENS
