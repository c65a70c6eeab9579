"""Anthropic Messages as one codec."""

from __future__ import annotations

from bytespike_protocols.anthropic import failure, request_decode, request_encode, response
from bytespike_protocols.anthropic.stream_decode import MessagesStreamDecoder
from bytespike_protocols.anthropic.stream_encode import MessagesStreamEncoder
from bytespike_protocols.anthropic.tap import MessagesTap
from bytespike_protocols.codec import (
    Codec,
    Encoded,
    Failures,
    ReplyContext,
    RouteHints,
    StreamDecoder,
    StreamEncoder,
)
from bytespike_protocols.ir import Dialect, Request, Response

__all__ = ["CODEC"]


class _MessagesCodec:
    dialect = Dialect.ANTHROPIC
    failures: Failures = failure

    def decode_request(self, body: bytes, hints: RouteHints) -> Request:
        del hints  # the body says it all
        return request_decode.decode_request(body)

    def encode_request(self, request: Request, *, model: str) -> Encoded:
        return request_encode.encode_request(request, model=model)

    def decode_response(self, body: bytes) -> Response:
        return response.decode_response(body)

    def encode_response(self, answer: Response, context: ReplyContext) -> bytes:
        return response.encode_response(answer, context)

    def stream_decoder(self) -> StreamDecoder:
        return MessagesStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        return MessagesStreamEncoder(context)

    def tap(self) -> MessagesTap:
        return MessagesTap()


CODEC: Codec = _MessagesCodec()
