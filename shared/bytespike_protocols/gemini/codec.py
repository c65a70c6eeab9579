"""``generateContent`` and its stream as one codec."""

from __future__ import annotations

from bytespike_protocols.codec import Codec, Encoded, Failures, ReplyContext, RouteHints
from bytespike_protocols.gemini import failure
from bytespike_protocols.gemini.request_decode import decode_request
from bytespike_protocols.gemini.request_encode import encode_request
from bytespike_protocols.gemini.response import decode_response, encode_response
from bytespike_protocols.gemini.stream_decode import GeminiStreamDecoder
from bytespike_protocols.gemini.stream_encode import GeminiStreamEncoder
from bytespike_protocols.gemini.tap import GeminiTap
from bytespike_protocols.ir import Dialect, Request, Response

__all__ = ["CODEC"]


class _GeminiCodec:
    """``generateContent`` and ``streamGenerateContent``; see ``codec.Codec``."""

    dialect = Dialect.GEMINI
    failures: Failures = failure

    def decode_request(self, body: bytes, hints: RouteHints) -> Request:
        """See ``codec.Codec``; the model comes from the path."""
        return decode_request(body, hints)

    def encode_request(self, request: Request, *, model: str) -> Encoded:
        """See ``codec.Codec``; the model goes into the path, and so does streaming."""
        return encode_request(request, model=model)

    def decode_response(self, body: bytes) -> Response:
        """See ``codec.Codec``."""
        return decode_response(body)

    def encode_response(self, response: Response, context: ReplyContext) -> bytes:
        """See ``codec.Codec``."""
        return encode_response(response, context)

    def stream_decoder(self) -> GeminiStreamDecoder:
        """See ``codec.Codec``."""
        return GeminiStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> GeminiStreamEncoder:
        """See ``codec.Codec``."""
        return GeminiStreamEncoder(context)

    def tap(self) -> GeminiTap:
        """See ``codec.Codec``."""
        return GeminiTap()


CODEC: Codec = _GeminiCodec()
