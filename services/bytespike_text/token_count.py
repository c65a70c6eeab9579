"""Counting tokens where no vendor can be asked: our own count, marked as such."""

from __future__ import annotations

import msgspec
from aiohttp import web

from bytespike_protocols.ir import Dialect
from bytespike_protocols.tap import BYTES_PER_TOKEN
from bytespike_runtime.answer import WholeAnswer
from bytespike_text.job import Job
from bytespike_text.routing_table import RoutingTable

__all__ = ["ESTIMATED_HEADER", "estimated_count"]

#: Names the fields of an answer that we counted ourselves.
ESTIMATED_HEADER = "x-bytespike-estimated"

_FIELDS = {Dialect.ANTHROPIC: "input_tokens", Dialect.GEMINI: "totalTokens"}


def estimated_count(job: Job, table: RoutingTable) -> web.StreamResponse | None:
    """The answer to a count; None if a channel of the client's dialect can be asked for it."""
    lanes = table.candidates(job.principal.group, job.reading.model)
    if any(lane.dialect is job.dialect and lane.channel.can_count_tokens for lane in lanes):
        return None
    field = _FIELDS[job.dialect]
    counted = -(-job.reading.text_bytes // BYTES_PER_TOKEN)
    return WholeAnswer(
        headers={"content-type": "application/json", ESTIMATED_HEADER: field},
        body=msgspec.json.encode({field: counted}),
    )
