"""The lists of models: the official SDKs parse and page them, and no key sees beyond its group."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types
from multidict import CIMultiDict

from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.model_lists import list_dialect, list_models, show_model
from bytespike_protocols.ir import Dialect
from tests.support.stack import DEFAULT_CATALOGUE

CATALOGUE = parse_catalogue(DEFAULT_CATALOGUE.read_text(), {})
ALL = list(CATALOGUE.models)
CLAUDES = [name for name in ALL if name.startswith("claude-")]
#: A second shape of group: one model without a channel, one without released date and names.
SMALL = parse_catalogue(
    """
    [[models]]
    id = "bare"
    vendor = "v"
    family = "f"
    context_window = 1000
    max_output_tokens = 100
    price = { input = "1", output = "2", cache_read = "0" }

    [[models]]
    id = "unserved"
    vendor = "v"
    family = "f"
    context_window = 1000
    max_output_tokens = 100
    price = { input = "1", output = "2", cache_read = "0" }

    [[channels]]
    id = "chat"
    dialect = "openai_chat"
    base_url = "https://chat.example/v1"
    credential = "env:K"
    models = { bare = "bare" }

    [[groups]]
    id = "default"

    [[groups]]
    id = "nothing"
    models = []
    """,
    {},
)


def listed(
    dialect: Dialect, query: str = "", *, catalogue: Catalogue = CATALOGUE, group: str = "default"
) -> Any:
    return json.loads(list_models(dialect, catalogue, group=group, query=query))


def shown(
    dialect: Dialect, name: str, *, catalogue: Catalogue = CATALOGUE, group: str = "default"
) -> Any:
    return json.loads(show_model(dialect, catalogue, group=group, name=name))


def serve(request: httpx2.Request) -> httpx2.Response:
    """A gateway of nothing but these functions, under every prefix an SDK may use."""
    dialect = list_dialect(request.url.path, CIMultiDict(request.headers.items()))
    _, _, name = request.url.path.partition("/models/")
    if name:
        body = show_model(dialect, CATALOGUE, group="default", name=name)
    else:
        query = request.url.query.decode()
        body = list_models(dialect, CATALOGUE, group="default", query=query)
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)


@pytest.fixture
def wire() -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(serve))


def test_the_openai_sdk_lists_and_shows(wire: httpx2.Client) -> None:
    client = openai.OpenAI(api_key="k", base_url="http://gateway.test/v1", http_client=wire)
    models = list(client.models.list())
    assert [model.id for model in models] == ALL
    shown_model = client.models.retrieve("gpt-5.4")
    assert (shown_model.id, shown_model.owned_by) == ("gpt-5-4", "openai")
    assert datetime.fromtimestamp(shown_model.created, UTC) == datetime(2026, 3, 5, tzinfo=UTC)


def test_the_anthropic_sdk_pages_through_all_of_them(wire: httpx2.Client) -> None:
    client = anthropic.Anthropic(api_key="k", base_url="http://gateway.test", http_client=wire)
    first = client.models.list()
    assert (len(first.data), first.has_more) == (20, True)
    assert [model.id for model in client.models.list(limit=7)] == ALL
    info = client.models.retrieve("claude-sonnet-4.6")
    assert (info.id, info.display_name) == ("claude-sonnet-4-6", "Claude Sonnet 4.6")
    assert info.created_at == datetime(2026, 2, 17, tzinfo=UTC)
    assert (info.max_input_tokens, info.max_tokens) == (200_000, 16_384)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_google_sdk_pages_through_all_of_them(wire: httpx2.Client, version: str) -> None:
    options = types.HttpOptions(
        base_url="http://gateway.test", api_version=version, httpx_client=wire
    )
    client = genai.Client(api_key="k", http_options=options)
    models = list(client.models.list(config={"page_size": 10}))
    assert [model.name for model in models] == [f"models/{name}" for name in ALL]
    info = client.models.get(model="gemini-3.1-pro-preview")
    assert (info.name, info.display_name) == ("models/gemini-3-1-pro", "Gemini 3.1 Pro")
    assert (info.input_token_limit, info.output_token_limit) == (1_000_000, 32_768)
    assert info.supported_actions == ["generateContent", "streamGenerateContent", "countTokens"]


@pytest.mark.parametrize(
    ("path", "header", "dialect"),
    [
        ("/v1/models", "authorization", Dialect.OPENAI_CHAT),
        ("/v1/models", "x-api-key", Dialect.OPENAI_CHAT),
        ("/v1/models", "Anthropic-Version", Dialect.ANTHROPIC),
        ("/v1/v1/models/x", "anthropic-version", Dialect.ANTHROPIC),
        ("/v1/models", "x-goog-api-key", Dialect.GEMINI),
        ("/v1/models/x", "x-goog-api-client", Dialect.GEMINI),
        ("/v1beta/models", "authorization", Dialect.GEMINI),
        ("/v1/v1beta/models", "anthropic-version", Dialect.GEMINI),
    ],
)
def test_path_and_headers_say_whose_list_it_is(path: str, header: str, dialect: Dialect) -> None:
    assert list_dialect(path, CIMultiDict({header: "x"})) is dialect


def test_an_item_says_what_a_client_has_to_know() -> None:
    assert shown(Dialect.OPENAI_CHAT, "gemini-2.5-flash") == {
        "id": "gemini-2-5-flash",
        "object": "model",
        "created": 1_750_118_400,
        "owned_by": "google",
        "family": "gemini",
        "display_name": "Gemini 2.5 Flash",
        "capabilities": [
            "text",
            "streaming",
            "vision",
            "audio",
            "video",
            "tool_use",
            "parallel_tools",
            "json_schema",
            "thinking",
            "web_search",
        ],
        "context_window": 1_000_000,
        "max_output_tokens": 65_536,
        "input_modalities": ["text", "image", "audio", "video"],
        "output_modalities": ["text"],
        "protocols": [
            "anthropic_messages:translated",
            "openai_chat_completions:translated",
            "openai_responses:translated",
            "gemini_generate_content:native",
        ],
        "pricing_url": "/api/pricing/gemini-2-5-flash",
    }


def test_protocols_are_those_of_the_group() -> None:
    both = shown(Dialect.OPENAI_CHAT, "deepseek-v3-2", group="volcengine-default")["protocols"]
    assert both[:2] == ["anthropic_messages:native", "openai_chat_completions:native"]
    assert shown(Dialect.OPENAI_CHAT, "bare", catalogue=SMALL)["protocols"][:2] == [
        "anthropic_messages:translated",
        "openai_chat_completions:native",
    ]


@pytest.mark.parametrize(
    ("catalogue", "name"), [(CATALOGUE, "doubao-seed-2-0-pro"), (SMALL, "unserved")]
)
def test_what_cannot_be_called_is_listed_without_protocols(catalogue: Catalogue, name: str) -> None:
    everything = listed(Dialect.OPENAI_CHAT, catalogue=catalogue)["data"]
    assert [model["protocols"] for model in everything if model["id"] == name] == [[]]
    assert shown(Dialect.GEMINI, name, catalogue=catalogue)["supportedGenerationMethods"] == []


def test_an_unknown_release_date_is_the_epoch() -> None:
    assert shown(Dialect.OPENAI_CHAT, "bare", catalogue=SMALL)["created"] == 0
    info = shown(Dialect.ANTHROPIC, "bare", catalogue=SMALL)
    assert (info["created_at"], info["display_name"]) == ("1970-01-01T00:00:00Z", "bare")
    assert shown(Dialect.GEMINI, "bare", catalogue=SMALL)["version"] == "unknown"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("family=anthropic", CLAUDES),
        ("family=volcengine", ["doubao-seed-2-0-pro"]),
        ("family=bytedance", ["doubao-seed-2-0-pro"]),
        ("family=google&capability=video&capability=text", [n for n in ALL if "gemini" in n]),
        ("family=anthropic&capability=vision&capability=thinking", CLAUDES[2:]),
        ("family=nobody", []),
        ("capability=telepathy", []),
    ],
)
def test_filters_narrow_the_openai_list(query: str, expected: list[str]) -> None:
    assert [model["id"] for model in listed(Dialect.OPENAI_CHAT, query)["data"]] == expected


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ("limit=2", CLAUDES[:2], True),
        (f"limit=2&after_id={CLAUDES[4]}", CLAUDES[5:], False),
        (f"limit=2&before_id={CLAUDES[4]}", CLAUDES[2:4], True),
        (f"limit=5&before_id={CLAUDES[2]}", CLAUDES[:2], False),
        (f"after_id={CLAUDES[-1]}", [], False),
        ("after_id=&limit=", CLAUDES, False),
    ],
)
def test_anthropic_pages(query: str, ids: list[str], has_more: bool) -> None:
    page = listed(Dialect.ANTHROPIC, query, group="claude-default")
    assert [model["id"] for model in page["data"]] == ids
    assert page["has_more"] is has_more
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (page["first_id"], page["last_id"]) == ends


def test_gemini_pages_end_without_a_token() -> None:
    first = listed(Dialect.GEMINI, "pageSize=4", group="gemini-default")
    token = first["nextPageToken"]
    rest = listed(Dialect.GEMINI, f"pageSize=4&pageToken={token}", group="gemini-default")
    assert (len(first["models"]), len(rest["models"])) == (4, 1)
    assert "nextPageToken" not in rest
    assert len(listed(Dialect.GEMINI, "pageSize=5000")["models"]) == len(ALL)


@pytest.mark.parametrize(
    ("dialect", "query", "param"),
    [
        (Dialect.ANTHROPIC, "limit=0", "limit"),
        (Dialect.ANTHROPIC, "limit=1001", "limit"),
        (Dialect.ANTHROPIC, "limit=ten", "limit"),
        (Dialect.ANTHROPIC, f"limit={'9' * 5000}", "limit"),
        (Dialect.ANTHROPIC, "after_id=gpt-5-4", "after_id"),
        (Dialect.ANTHROPIC, f"after_id={CLAUDES[0]}&before_id={CLAUDES[1]}", "before_id"),
        (Dialect.GEMINI, "pageSize=-1", "pageSize"),
        (Dialect.GEMINI, "pageSize=1.5", "pageSize"),
        (Dialect.GEMINI, "pageToken=gone", "pageToken"),
    ],
)
def test_a_page_that_cannot_be_is_refused(dialect: Dialect, query: str, param: str) -> None:
    with pytest.raises(GatewayError) as refused:
        listed(dialect, query, group="claude-default")
    assert (refused.value.code, refused.value.param) == (ErrorCode.INVALID_REQUEST, param)


@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC, Dialect.GEMINI])
def test_a_key_sees_its_group_and_no_more(dialect: Dialect) -> None:
    page = listed(dialect, "limit=1000", group="claude-default")
    items = page["models"] if dialect is Dialect.GEMINI else page["data"]
    ids = [item.get("id") or item["baseModelId"] for item in items]
    assert ids == CLAUDES
    with pytest.raises(GatewayError) as outside:
        shown(dialect, "gpt-5.5", group="claude-default")
    assert outside.value.code is ErrorCode.MODEL_NOT_IN_GROUP
    with pytest.raises(GatewayError) as unknown:
        shown(dialect, "gpt-17")
    assert unknown.value.code is ErrorCode.MODEL_NOT_FOUND
    for group in ("nothing", "deleted"):
        with pytest.raises(GatewayError) as empty:
            listed(dialect, catalogue=SMALL, group=group)
        assert empty.value.code is ErrorCode.PERMISSION_DENIED


def test_a_retired_name_is_told_its_successor() -> None:
    with pytest.raises(GatewayError) as retired:
        shown(Dialect.OPENAI_CHAT, "deepseek-reasoner")
    assert retired.value.code is ErrorCode.MODEL_NOT_FOUND
    assert "'deepseek-v4-pro'" in retired.value.message
