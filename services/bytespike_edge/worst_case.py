"""The most a request can cost, from its bytes alone. Pure.

The hold taken at admission is this number, so it must lean to the dear side without refusing
customers who can pay: too low and a wallet pays less than was delivered (our loss, see the ledger's
shortfall), too high and a customer is refused with money left. No tokenizer runs here; each
constant says where it comes from. What a body holds besides text is read in ``contents``, each
dialect in its own words; any of them may be answered by any vendor, so what it costs is one sum for
all, with the dearest vendor's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import MicroUsd, Rates, TokenUsage, price
from bytespike_edge.contents import Contents, read_contents
from bytespike_protocols.heads import Fields, Head
from bytespike_protocols.ir import Dialect

__all__ = ["WorstCase", "worst_case"]

#: English runs at four bytes a token and CJK at three to a character of one or two tokens; JSON
#: punctuation, which no vendor bills, makes up for denser text.
BYTES_PER_TOKEN = 3
#: Anthropic scales images down to at most 3.75 megapixels, at one token per 750 pixels (4,784).
#: Google's sixteen tiles are 4,128, OpenAI's 2,500 patches with its factor 3,000.
IMAGE_TOKENS = 4_800
#: OpenAI's ``original`` detail: 10,000 patches, with its factor for newer models.
LARGE_IMAGE_TOKENS = 12_000
#: Models that count a picture many times over, as published: 2,833 and 5,667 for each of at most
#: eight tiles.
IMAGE_TOKENS_OF: Mapping[str, int] = {"gpt-4o-mini": 2_833 + 8 * 5_667}
#: A page of a PDF is billed as its text (1,500 to 3,000 tokens) and as an image of at most 1.15
#: megapixels.
PAGE_TOKENS = 3_000 + 1_600
#: Google: 32 tokens a second of sound; OpenAI less.
AUDIO_TOKENS_PER_S = 32
#: Google: 258 (or, in high resolution, 280) tokens a frame, and the second of sound beside it.
FRAME_TOKENS = 280 + AUDIO_TOKENS_PER_S
#: The vendor's own instructions for using tools, added to any request that declares some
#: (published per model: 264 to 530).
TOOL_PROMPT_TOKENS = 530
#: The same for each tool of the vendor's own design that the client runs (recorded: up to 1,240).
KNOWN_TOOL_TOKENS = 1_500
#: What one search adds to the input: some ten results, each an excerpt of a page.
SEARCH_RESULT_TOKENS = 4_000


class WorstCase(NamedTuple):
    """The upper bound of a request: ``usage`` priced at the rates it was estimated for.
    ``text_bytes`` is the body less its media.
    """

    usage: TokenUsage
    amount_uusd: MicroUsd
    text_bytes: int

    @property
    def input_tokens(self) -> int:
        """All input, whatever bucket it is priced in."""
        usage = self.usage
        return usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens


def worst_case(
    body_bytes: int,
    fields: Fields,
    *,
    dialect: Dialect,
    head: Head,
    model: Model,
    rates: Rates,
) -> WorstCase:
    """The bound for a body of ``body_bytes`` whose top level is ``fields``.

    Input and each of the answers are bounded by the context window: the vendor refuses anything
    beyond. Input is billed once however many answers are asked for.
    """
    contents = read_contents(dialect, fields)
    input_tokens = model.context_window
    text_bytes = body_bytes - contents.media_bytes
    if not contents.unmeasured:
        tokens = -(-text_bytes // BYTES_PER_TOKEN)
        if vars(contents):
            tokens += _extra_tokens(contents, model)
        input_tokens = min(tokens, input_tokens)
    # Search results come on top of the window: they arrive in later steps, each billed again.
    input_tokens += (contents.searches + contents.lookups) * SEARCH_RESULT_TOKENS
    cap = model.max_output_tokens if head.max_tokens is None else head.max_tokens
    usage = TokenUsage(
        **{_dearest_bucket(contents, rates): input_tokens},
        output_tokens=min(cap, model.context_window) * head.candidates,
        web_searches=contents.searches,
    )
    return WorstCase(usage, price(usage, rates), text_bytes)


def _extra_tokens(contents: Contents, model: Model) -> int:
    """Tokens that no byte of text stands for."""
    usual = IMAGE_TOKENS_OF.get(model.id, IMAGE_TOKENS)
    tokens = contents.images * usual + contents.pages * PAGE_TOKENS
    tokens += contents.large_images * max(usual, LARGE_IMAGE_TOKENS)
    tokens += contents.audio_s * AUDIO_TOKENS_PER_S + contents.video_frames * FRAME_TOKENS
    tokens += contents.known_tools * KNOWN_TOOL_TOKENS
    return tokens + TOOL_PROMPT_TOKENS if contents.tools else tokens


def _dearest_bucket(contents: Contents, rates: Rates) -> str:
    """Where every input token would cost most if the whole prompt were written to the cache."""
    bucket, rate = "input_tokens", rates.input_uusd
    if contents.cache_5m and rates.cache_write_5m_uusd > rate:
        bucket, rate = "cache_write_5m_tokens", rates.cache_write_5m_uusd
    if contents.cache_1h and rates.cache_write_1h_uusd > rate:
        bucket = "cache_write_1h_tokens"
    return bucket
