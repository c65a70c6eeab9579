"""Counting tokens: what to ask a vendor, how to say its answer, and our own count where none can
be asked.

Two dialects have a call for it. Each asks for what it would generate from, less what only matters
to generating.
"""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import shallow
from bytespike_protocols.tap import BYTES_PER_TOKEN
from bytespike_runtime.answer import WholeAnswer
from bytespike_text.job import Job
from bytespike_text.routing_table import RoutingTable

__all__ = [
    "ESTIMATED_HEADER",
    "countable",
    "decode_count",
    "encode_count",
    "estimated_count",
    "least_prompt_tokens",
]

#: Names the field of an answer that we counted ourselves.
ESTIMATED_HEADER = "x-bytespike-estimated"

_FIELDS = {Dialect.ANTHROPIC: "input_tokens", Dialect.GEMINI: "totalTokens"}
#: What Anthropic takes in a body that is only counted; anything else is a 400.
_COUNTED_BY_ANTHROPIC = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"}
)

#: The text of a prompt, by the names all four dialects keep it under.
_TEXT = re.compile(
    rb'"(?:text|content|input|instructions|output)"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL
)

_counts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_number = msgspec.json.Decoder(int)


def estimated_count(job: Job, table: RoutingTable) -> web.StreamResponse | None:
    """Our own answer to a count; None if a channel can be asked for it."""
    lanes = table.candidates(job.principal.group, job.reading.model)
    if any(lane.channel.can_count_tokens for lane in lanes):
        return None
    counted = -(-job.reading.text_bytes // BYTES_PER_TOKEN)
    return WholeAnswer(
        headers={"content-type": "application/json", ESTIMATED_HEADER: _FIELDS[job.dialect]},
        body=encode_count(job.dialect, counted),
    )


def least_prompt_tokens(body: bytes) -> int:
    """What a prompt comes to at least, by its plain text alone: what a client that leaves pays for
    where the vendor would have reported the input at the end.
    """
    texts: list[bytes] = _TEXT.findall(body)
    return sum([len(text) - text.count(b"\\") for text in texts]) // BYTES_PER_TOKEN


def countable(dialect: Dialect, body: bytes, *, model: str) -> bytes:
    """The body to be counted, from the one that would be generated from."""
    fields = shallow(body)
    if dialect is Dialect.ANTHROPIC:
        kept = {name: raw for name, raw in fields.items() if name in _COUNTED_BY_ANTHROPIC}
        return msgspec.json.encode(kept)
    named = {"model": f"models/{model}", **fields}
    return msgspec.json.encode({"generateContentRequest": named})


def decode_count(dialect: Dialect, body: bytes) -> int:
    """The vendor's number. Raises ``BadUpstreamMessage``."""
    try:
        return _number.decode(_counts.decode(body)[_FIELDS[dialect]])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        raise BadUpstreamMessage("the vendor's count has no number") from None


def encode_count(dialect: Dialect, counted: int) -> bytes:
    """The number as clients of the dialect expect it."""
    return msgspec.json.encode({_FIELDS[dialect]: counted})
