"""Whole answers. A client's is the last word of its stream, so both come from one encoder."""

from __future__ import annotations

import msgspec

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.folding import unfold
from bytespike_protocols.ir import Block, Response
from bytespike_protocols.openai_responses.answer import (
    answer_stop,
    answer_usage,
    decode_upstream,
    item_blocks,
)
from bytespike_protocols.openai_responses.stream_encode import ResponsesStreamEncoder
from bytespike_protocols.openai_responses.wire import Answer

__all__ = ["decode_response", "encode_response"]

_ENDED = ("completed", "incomplete", None)

_decoder = msgspec.json.Decoder(Answer)


def decode_response(body: bytes) -> Response:
    """Raises ``BadUpstreamMessage`` on anything but a finished answer: a 200 may also hold a failed
    one, or one that is still under way at the vendor.
    """
    answer = decode_upstream(_decoder, body)
    if answer.error is not None:
        raise BadUpstreamMessage(answer.error.message or "the answer failed")
    if answer.output is None or answer.status not in _ENDED:
        raise BadUpstreamMessage("not a finished answer")
    blocks: list[Block] = [block for raw in answer.output for block in item_blocks(raw)]
    return Response(
        id=answer.id,
        model=answer.model or "",
        created_s=None if answer.created_at is None else int(answer.created_at),
        blocks=tuple(blocks),
        stop=answer_stop(answer, map(type, blocks)),
        usage=answer_usage(answer),
    )


def encode_response(response: Response, context: ReplyContext) -> bytes:
    """The answer for a client, with the settings of its request repeated in it."""
    encoder = ResponsesStreamEncoder(context)
    for event in unfold(response):
        encoder.feed(event)
    return encoder.whole()
