"""Passing a request on to a service behind the edge; the only user of the HTTP client.

Nothing of a client's headers passes unless it is on a list: credentials, hop-by-hop headers and
forged internal headers are dropped by not being named. In their place goes one principal, believed
only together with the internal token.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDictProxy, istr

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
)
from bytespike_edge.routes import Upstream
from bytespike_runtime.http_client import (
    BadResponse,
    ClientError,
    ConnectFailed,
    FirstByteTimeout,
    HttpClient,
    HttpResponse,
    Origin,
)
from bytespike_runtime.logs import get_logger
from bytespike_runtime.settings import Secret

__all__ = ["Forwarder", "NotDelivered"]

#: Request headers every service behind may see, as the client wrote them.
_PASSED = ("content-type", "accept", "anthropic-version", "anthropic-beta")
#: Never passed, whatever an operator lists: they carry credentials, frame messages or would let a
#: client speak as the edge.
_NEVER_PASSED = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-goog-api-key",
        CLIENT_ADDRESS_HEADER,
        INTERNAL_TOKEN_HEADER,
        PRINCIPAL_HEADER,
    }
)
#: An operator's token, and a payment provider's signature.
_PROOFS = ("authorization", "stripe-signature")
_CONNECTION = istr("connection")

_log = get_logger()


class NotDelivered(GatewayError):
    """The service never saw the request, so nothing it holds can be in use."""


class Forwarder:
    """Sends requests to the services behind, one base URL each."""

    def __init__(
        self,
        client: HttpClient,
        *,
        urls: Mapping[Upstream, str],
        internal_token: Secret,
        extra_headers: Iterable[str],
        connect_timeout_s: float,
        response_timeout_s: float,
    ) -> None:
        self._client = client
        self._origins = {upstream: Origin.parse(url) for upstream, url in urls.items()}
        self._token = (INTERNAL_TOKEN_HEADER, internal_token.reveal())
        extra = [name.strip().lower() for name in extra_headers]
        if forbidden := _NEVER_PASSED.intersection(extra):
            raise ValueError(f"these headers are never forwarded: {', '.join(sorted(forbidden))}")
        self._passed = tuple((name, istr(name)) for name in dict.fromkeys((*_PASSED, *extra)))
        self._connect_timeout_s = connect_timeout_s
        self._response_timeout_s = response_timeout_s

    def headers_for(
        self, client_headers: CIMultiDictProxy[str], principal: str
    ) -> list[tuple[str, str]]:
        """What a service sees instead of the client's headers; ``principal`` is already encoded."""
        headers = self._listed(client_headers)
        headers.append((PRINCIPAL_HEADER, principal))
        headers.append(self._token)
        return headers

    def unjudged_headers(self, client_headers: CIMultiDictProxy[str]) -> list[tuple[str, str]]:
        """As :meth:`headers_for`, but the caller's own proof is the ledger's to judge."""
        headers = self._listed(client_headers)
        for name in _PROOFS:
            proof = client_headers.get(name)
            if proof is not None:
                headers.append((name, proof))
        headers.append(self._token)
        return headers

    async def send(
        self,
        upstream: Upstream,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> HttpResponse:
        """The response head of the service; its body is still to be read or aborted.

        Raises :class:`NotDelivered` if the service never saw the request, else
        :class:`GatewayError` (both 503 or 504).
        """
        origin, base_path = self._origins[upstream]
        try:
            return await self._client.request(
                method,
                origin,
                base_path + target,
                headers,
                body,
                connect_timeout_s=self._connect_timeout_s,
                first_byte_timeout_s=self._response_timeout_s,
            )
        except ConnectFailed as error:
            _log.warning("service unreachable", upstream=upstream.value, reason=str(error))
            raise NotDelivered(
                ErrorCode.UNAVAILABLE,
                "the gateway is starting or overloaded; nothing was charged, try again shortly",
                headers={"Retry-After": "1"},
            ) from error
        except ClientError as error:
            _log.warning(
                "service gave no answer", upstream=upstream.value, reason=type(error).__name__
            )
            raise _no_answer(error) from error

    def _listed(self, client_headers: CIMultiDictProxy[str]) -> list[tuple[str, str]]:
        named = client_headers.get(_CONNECTION)
        hop_by_hop = _tokens(named) if named is not None else ()
        # A header may come on several lines (betas do); one line with commas means the same.
        return [
            (name, values[0] if len(values) == 1 else ", ".join(values))
            for name, known in self._passed
            if (values := client_headers.getall(known, None)) and name not in hop_by_hop
        ]


def _tokens(connection: str) -> frozenset[str]:
    """Headers that ``Connection`` declares to be for this hop only."""
    return frozenset(token.strip().lower() for token in connection.split(","))


def _no_answer(error: ClientError) -> GatewayError:
    if isinstance(error, FirstByteTimeout):
        return GatewayError(
            ErrorCode.UPSTREAM_TIMEOUT, "no answer in time", headers={"Retry-After": "1"}
        )
    code = ErrorCode.BAD_UPSTREAM if isinstance(error, BadResponse) else ErrorCode.UNAVAILABLE
    return GatewayError(
        code,
        "the gateway lost the answer to this request; try again shortly",
        headers={"Retry-After": "1"},
    )
