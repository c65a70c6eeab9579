"""Which headers of a client reach a service behind the edge."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from bytespike_contracts.principal import INTERNAL_TOKEN_HEADER, PRINCIPAL_HEADER
from bytespike_edge.forward import Forwarder
from bytespike_edge.routes import Upstream
from bytespike_runtime.http_client import HttpClient
from bytespike_runtime.settings import Secret


def forwarder(*extra: str) -> Forwarder:
    return Forwarder(
        HttpClient(),
        urls={upstream: "http://localhost:1" for upstream in Upstream},
        internal_token=Secret("internal"),
        extra_headers=extra,
        connect_timeout_s=1,
        response_timeout_s=1,
    )


def client_headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


OURS = [(PRINCIPAL_HEADER, "{}"), (INTERNAL_TOKEN_HEADER, "internal")]


def test_only_listed_headers_pass() -> None:
    headers = client_headers(
        ("Content-Type", "application/json"),
        ("X-Api-Key", "secret"),
        ("Cookie", "a=b"),
        ("X-ByteSpike-Principal", "forged"),
        ("X-ByteSpike-Internal-Token", "forged"),
        ("X-Trace", "1"),
    )
    passed = forwarder().headers_for(headers, "{}")
    assert passed == [("content-type", "application/json"), *OURS]
    assert ("x-trace", "1") in forwarder("X-Trace").headers_for(headers, "{}")


def test_a_header_on_several_lines_is_joined() -> None:
    headers = client_headers(("anthropic-beta", "a"), ("Anthropic-Beta", "b,c"))
    assert forwarder().headers_for(headers, "{}") == [("anthropic-beta", "a, b,c"), *OURS]


def test_what_connection_names_is_for_one_hop() -> None:
    headers = client_headers(("accept", "*/*"), ("x-a", "1"), ("Connection", "close, X-A"))
    assert forwarder("x-a").headers_for(headers, "{}") == [("accept", "*/*"), *OURS]


def test_an_administrators_token_passes_to_the_ledger_without_a_principal() -> None:
    headers = client_headers(("authorization", "Bearer admin"), ("x-api-key", "k"))
    assert forwarder().unjudged_headers(headers) == [
        ("authorization", "Bearer admin"),
        (INTERNAL_TOKEN_HEADER, "internal"),
    ]


@pytest.mark.parametrize("name", ["X-Api-Key", "connection", PRINCIPAL_HEADER, "Content-Length"])
def test_an_operator_cannot_open_what_must_stay_shut(name: str) -> None:
    with pytest.raises(ValueError, match="never forwarded"):
        forwarder(name)
