"""The Responses API as one codec."""

from __future__ import annotations

from bytespike_protocols.codec import Codec, Encoded, Failures, ReplyContext, RouteHints
from bytespike_protocols.ir import Dialect, Request, Response
from bytespike_protocols.openai_responses import failure
from bytespike_protocols.openai_responses.request_decode import decode_request
from bytespike_protocols.openai_responses.request_encode import encode_request
from bytespike_protocols.openai_responses.response import decode_response, encode_response
from bytespike_protocols.openai_responses.stream_decode import ResponsesStreamDecoder
from bytespike_protocols.openai_responses.stream_encode import ResponsesStreamEncoder
from bytespike_protocols.openai_responses.tap import ResponsesTap

__all__ = ["CODEC"]


class _ResponsesCodec:
    dialect = Dialect.OPENAI_RESPONSES
    failures: Failures = failure

    def decode_request(self, body: bytes, hints: RouteHints) -> Request:
        # The body says everything here; the path has nothing to add.
        del hints
        return decode_request(body)

    def encode_request(self, request: Request, *, model: str) -> Encoded:
        return encode_request(request, model=model)

    def decode_response(self, body: bytes) -> Response:
        return decode_response(body)

    def encode_response(self, response: Response, context: ReplyContext) -> bytes:
        return encode_response(response, context)

    def stream_decoder(self) -> ResponsesStreamDecoder:
        return ResponsesStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> ResponsesStreamEncoder:
        return ResponsesStreamEncoder(context)

    def tap(self) -> ResponsesTap:
        return ResponsesTap()


CODEC: Codec = _ResponsesCodec()
