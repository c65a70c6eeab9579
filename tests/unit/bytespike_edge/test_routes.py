"""The path table."""

from __future__ import annotations

import pytest

from bytespike_contracts.errors import GatewayError
from bytespike_edge.routes import Kind, dialect_of, find_route
from bytespike_protocols.ir import Dialect


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/messages", Kind.METERED),
        ("POST", "/v1/v1/messages", Kind.METERED),
        ("POST", "/v1/messages/count_tokens", Kind.COUNTED),
        ("POST", "/v1/v1/messages/count_tokens", Kind.COUNTED),
        ("GET", "/v1/balance", Kind.OWN_DATA),
        ("GET", "/v1/v1/usage", Kind.OWN_DATA),
        ("PATCH", "/api/v1/admin/keys/key_1", Kind.ADMIN),
    ],
)
def test_known_paths(method: str, path: str, kind: Kind) -> None:
    assert find_route(method, path).route.kind is kind


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/v1/v1/messages", 404),
        ("POST", "/v1/messages/", 404),
        ("POST", "/V1/messages", 404),
        ("GET", "/api/v1/admin/../x", 404),
        ("GET", "/api/v1/admin/%2e%2e/x", 404),
        ("GET", "/api/v1/administer", 404),
        ("GET", "/v1/messages", 405),
        ("TRACE", "/api/v1/admin/x", 405),
    ],
)
def test_unknown_paths_and_methods(method: str, path: str, status: int) -> None:
    with pytest.raises(GatewayError) as caught:
        find_route(method, path)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages/x", Dialect.ANTHROPIC),
        ("/v1/v1/messages/x", Dialect.ANTHROPIC),
        ("/v1beta/x", Dialect.GEMINI),
        ("/v1/v1beta/x", Dialect.GEMINI),
        ("/v1/models/x:countTokens", Dialect.GEMINI),
        ("/v1/models/x%3acountTokens", Dialect.GEMINI),
        ("/v1/models/x", Dialect.OPENAI_CHAT),
        ("", Dialect.OPENAI_CHAT),
    ],
)
def test_the_dialect_to_refuse_in(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect
