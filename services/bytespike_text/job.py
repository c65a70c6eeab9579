"""What the handler understood of a request, for everything behind it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import Principal, Reading
from bytespike_protocols.codec import Codec, RouteHints
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import Dialect, Request
from bytespike_protocols.splice import shallow

__all__ = ["SURFACES", "Job", "Surface", "client_error"]


class Surface(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge's paths stand for. ``route`` names it in logs; ``counts``: tokens are counted,
    nothing is generated.
    """

    route: str
    dialect: Dialect
    counts: bool = False


SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        "/v1/messages": Surface(route="messages", dialect=Dialect.ANTHROPIC),
        "/v1/messages/count_tokens": Surface(
            route="count_tokens", dialect=Dialect.ANTHROPIC, counts=True
        ),
        "/v1/chat/completions": Surface(route="chat_completions", dialect=Dialect.OPENAI_CHAT),
        "/v1/responses": Surface(route="responses", dialect=Dialect.OPENAI_RESPONSES),
        "/v1beta/generateContent": Surface(route="generate_content", dialect=Dialect.GEMINI),
        "/v1beta/streamGenerateContent": Surface(
            route="stream_generate_content", dialect=Dialect.GEMINI
        ),
        "/v1beta/countTokens": Surface(
            route="gemini_count_tokens", dialect=Dialect.GEMINI, counts=True
        ),
    }
)


class Job(msgspec.Struct, kw_only=True):
    """One request. ``reading`` is what the edge saw in the body and this service believes;
    ``query`` and ``headers`` may go to a vendor of the client's own dialect, ``version`` and
    ``betas`` to Anthropic alone. ``body`` is given up once nothing can be sent again.
    """

    surface: Surface
    principal: Principal
    reading: Reading
    query: str
    headers: tuple[tuple[str, str], ...]
    version: str
    betas: tuple[str, ...]
    body: bytes
    _decoded: Request | None = None

    @property
    def dialect(self) -> Dialect:
        """What the client speaks."""
        return self.surface.dialect

    @property
    def codec(self) -> Codec:
        """For what the client speaks."""
        return CODECS[self.surface.dialect]

    @property
    def called(self) -> str:
        """The model in the client's spelling."""
        return self.reading.called or self.reading.model

    @property
    def request(self) -> Request:
        """The body decoded, for lanes of another dialect. Raises :class:`GatewayError` (400)."""
        if self._decoded is None:
            hints = RouteHints(model=self.called, stream=self.reading.stream)
            try:
                self._decoded = self.codec.decode_request(self._asked, hints)
            except BadClientMessage as error:
                raise client_error(error) from None
        return self._decoded

    @property
    def _asked(self) -> bytes:
        """The request as it would be generated from: Google wraps some of those to be counted."""
        if self.surface.counts and self.dialect is Dialect.GEMINI:
            return bytes(shallow(self.body).get("generateContentRequest", self.body))
        return self.body


def client_error(error: BadClientMessage) -> GatewayError:
    """A refusal of the codecs' as the client gets it."""
    unsupported = isinstance(error, Unrepresentable)
    code = ErrorCode.UNSUPPORTED_FEATURE if unsupported else ErrorCode.INVALID_REQUEST
    return GatewayError(code, error.message, param=error.path or None)
