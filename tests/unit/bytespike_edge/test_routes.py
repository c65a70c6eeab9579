"""The path table."""

from __future__ import annotations

import pytest

from bytespike_contracts.errors import GatewayError
from bytespike_edge.routes import Kind, dialect_of, find_route
from bytespike_protocols.ir import Dialect

GENERATE = "/v1beta/models/{model}:generateContent"
STREAM = "/v1beta/models/{model}:streamGenerateContent"


@pytest.mark.parametrize(
    ("method", "path", "kind", "dialect"),
    [
        ("POST", "/v1/messages", Kind.METERED, Dialect.ANTHROPIC),
        ("POST", "/v1/messages/count_tokens", Kind.COUNTED, Dialect.ANTHROPIC),
        ("POST", "/v1/chat/completions", Kind.METERED, Dialect.OPENAI_CHAT),
        ("POST", "/v1/responses", Kind.METERED, Dialect.OPENAI_RESPONSES),
        ("GET", "/v1/models", Kind.MODELS, Dialect.OPENAI_CHAT),
        ("GET", "/v1beta/models", Kind.MODELS, Dialect.GEMINI),
        ("GET", "/v1/balance", Kind.ACCOUNT, Dialect.OPENAI_CHAT),
        ("GET", "/v1/usage", Kind.ACCOUNT, Dialect.OPENAI_CHAT),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_known_paths(prefix: str, method: str, path: str, kind: Kind, dialect: Dialect) -> None:
    route, model = find_route(method, prefix + path)
    assert (route.kind, route.dialect, model) == (kind, dialect, "")
    assert route.template == route.sent_path == path


def test_administration_is_a_prefix() -> None:
    assert find_route("PATCH", "/api/v1/admin/keys/key_1").route.kind is Kind.UNJUDGED


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1", "/v1/v1beta", "/v1/v1"])
@pytest.mark.parametrize(
    ("verb", "kind", "streams"),
    [
        ("generateContent", Kind.METERED, False),
        ("streamGenerateContent", Kind.METERED, True),
        ("countTokens", Kind.COUNTED, False),
    ],
)
def test_googles_verbs_name_the_model_in_the_path(
    prefix: str, verb: str, kind: Kind, streams: bool
) -> None:
    route, model = find_route("POST", f"{prefix}/models/gemini-2.5-pro:{verb}")
    assert (route.kind, route.streams, route.dialect) == (kind, streams, Dialect.GEMINI)
    assert (route.template, route.sent_path) == (
        f"/v1beta/models/{{model}}:{verb}",
        f"/v1beta/{verb}",
    )
    assert model == "gemini-2.5-pro"


@pytest.mark.parametrize(
    ("path", "template", "model"),
    [
        ("/v1beta/models/a%3AgenerateContent", GENERATE, "a"),
        ("/v1/models/a%3agenerateContent", GENERATE, "a"),
        ("/v1beta/models/models/a:generateContent", GENERATE, "a"),
        ("/v1beta/models/models%2Fa:generateContent", GENERATE, "a"),
        ("/v1beta/models/deepseek/a:generateContent", GENERATE, "deepseek/a"),
        ("/v1beta/models/deepseek%2Fa:streamGenerateContent", STREAM, "deepseek/a"),
        ("/v1beta/models/ft:a:generateContent", GENERATE, "ft:a"),
        ("/v1beta/models/..%2Fa:generateContent", GENERATE, "../a"),
    ],
)
def test_a_models_name_is_decoded(path: str, template: str, model: str) -> None:
    match = find_route("POST", path)
    assert (match.route.template, match.model) == (template, model)


@pytest.mark.parametrize(
    ("path", "template", "model"),
    [
        ("/v1/models/claude-sonnet-4.5", "/v1/models/{model}", "claude-sonnet-4.5"),
        ("/v1/v1/models/a", "/v1/models/{model}", "a"),
        ("/v1/models/a%2Fb", "/v1/models/{model}", "a/b"),
        ("/v1beta/models/a", "/v1beta/models/{model}", "a"),
        ("/v1/v1beta/models/a", "/v1beta/models/{model}", "a"),
    ],
)
def test_one_model_of_the_list(path: str, template: str, model: str) -> None:
    match = find_route("GET", path)
    assert (match.route.template, match.model) == (template, model)
    assert match.route.kind is Kind.MODELS


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/v1/v1/messages", 404),
        ("POST", "/v1/messages/", 404),
        ("POST", "/V1/messages", 404),
        ("GET", "/api/v1/admin/../x", 404),
        ("GET", "/api/v1/admin/%2e%2e/x", 404),
        ("GET", "/api/v2/keys", 404),
        ("POST", "/api/pricing", 405),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/responses", 405),
        ("TRACE", "/api/v1/admin/x", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/a", 405),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1beta/models/a:generateContent", 405),
        ("POST", "/v1beta/models/a:embedContent", 404),
        ("POST", "/v1beta/models/:generateContent", 404),
        ("POST", "/v1beta/models/models/:generateContent", 404),
        ("POST", "/v1beta/tunedModels/a:generateContent", 404),
        ("POST", "/v1beta/models/a:GenerateContent", 404),
        ("POST", "/v1beta/generateContent", 404),
    ],
)
def test_unknown_paths_and_methods(method: str, path: str, status: int) -> None:
    with pytest.raises(GatewayError) as caught:
        find_route(method, path)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ],
)
def test_kept_responses_are_a_404_that_says_why(method: str, path: str) -> None:
    with pytest.raises(GatewayError, match="not kept here") as caught:
        find_route(method, path)
    assert caught.value.status == 404


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
        ("/v1/responses/x", Dialect.OPENAI_CHAT),
        ("", Dialect.OPENAI_CHAT),
    ],
)
def test_the_dialect_to_refuse_in(path: str, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect
