"""Chat Completions as one codec, in two flavours of requests."""

from __future__ import annotations

from bytespike_protocols.codec import Codec, Encoded, Failures, ReplyContext, RouteHints
from bytespike_protocols.ir import Dialect, Request, Response
from bytespike_protocols.openai_chat import failure
from bytespike_protocols.openai_chat.request_decode import decode_request
from bytespike_protocols.openai_chat.request_encode import encode_request
from bytespike_protocols.openai_chat.response import decode_response, encode_response
from bytespike_protocols.openai_chat.settings_encode import Flavour
from bytespike_protocols.openai_chat.stream_decode import ChatStreamDecoder
from bytespike_protocols.openai_chat.stream_encode import ChatStreamEncoder
from bytespike_protocols.openai_chat.tap import ChatTap

__all__ = ["CODEC", "COMPATIBLE_CODEC"]


class _ChatCodec:
    """The codec; ``flavour`` matters only to requests for vendors."""

    dialect = Dialect.OPENAI_CHAT
    failures: Failures = failure

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour

    def decode_request(self, body: bytes, hints: RouteHints) -> Request:
        """The path says nothing in this dialect. Raises ``BadClientMessage``."""
        del hints
        return decode_request(body)

    def encode_request(self, request: Request, *, model: str) -> Encoded:
        """Raises ``Unrepresentable``."""
        return encode_request(request, model=model, flavour=self._flavour)

    def decode_response(self, body: bytes) -> Response:
        """Raises ``BadUpstreamMessage``."""
        return decode_response(body)

    def encode_response(self, response: Response, context: ReplyContext) -> bytes:
        """The whole answer for a client."""
        return encode_response(response, context)

    def stream_decoder(self) -> ChatStreamDecoder:
        """For one answer."""
        return ChatStreamDecoder()

    def stream_encoder(self, context: ReplyContext) -> ChatStreamEncoder:
        """For one answer."""
        return ChatStreamEncoder(context)

    def tap(self) -> ChatTap:
        """See ``codec.Codec``."""
        return ChatTap()


#: OpenAI itself.
CODEC: Codec = _ChatCodec(Flavour())
#: Vendors that took the dialect over as it was: DeepSeek, Moonshot, Zhipu and their like.
COMPATIBLE_CODEC: Codec = _ChatCodec(Flavour(output_cap="max_tokens", user="user", thoughts=True))
