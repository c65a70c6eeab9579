"""The lists of models from a running edge, asked for by the vendors' own SDKs."""

from __future__ import annotations

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors, types

from bytespike_contracts.keys import Scope, SpendCaps
from tests.integration.edge.surfaces import MODEL, envelope_of
from tests.integration.edge.surroundings import EdgeUnderTest

#: What the group of the tests' keys holds.
GROUP = [MODEL, "claude-unpriced"]

any_base = pytest.mark.parametrize("base", ["", "/v1"])


def google(edge: EdgeUnderTest, key: str, base: str, wire: httpx2.AsyncClient) -> genai.Client:
    options = types.HttpOptions(base_url=edge.url + base, httpx_async_client=wire)
    return genai.Client(api_key=key, http_options=options)


@any_base
async def test_openais_sdk(edge: EdgeUnderTest, base: str) -> None:
    key, _ = await edge.ledger.key()
    # This one never appends a version itself, so without one in its base it has none at all.
    url = f"{edge.url}{base}/v1"
    async with openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0) as sdk:
        assert [model.id async for model in sdk.models.list()] == GROUP
        assert (await sdk.models.retrieve("claude-sonnet-4.5")).id == MODEL
        with pytest.raises(openai.NotFoundError) as missing:
            await sdk.models.retrieve("gpt-9")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.PermissionDeniedError):
            await sdk.models.retrieve("claude-other")


@any_base
async def test_anthropics_sdk(edge: EdgeUnderTest, base: str) -> None:
    key, _ = await edge.ledger.key()
    url = edge.url + base
    async with anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=0) as sdk:
        assert [model.id async for model in await sdk.models.list(limit=1)] == GROUP
        assert (await sdk.models.retrieve("claude-sonnet-4.5")).id == MODEL
        with pytest.raises(anthropic.NotFoundError) as missing:
            await sdk.models.retrieve("gpt-9")
        assert missing.value.request_id is not None


@any_base
async def test_googles_sdk(edge: EdgeUnderTest, base: str) -> None:
    key, _ = await edge.ledger.key()
    async with httpx2.AsyncClient() as wire:
        sdk = google(edge, key, base, wire)
        pager = await sdk.aio.models.list(config={"page_size": 1})
        assert [model.name async for model in pager] == [f"models/{name}" for name in GROUP]
        assert (await sdk.aio.models.get(model="claude-sonnet-4.5")).name == f"models/{MODEL}"
        with pytest.raises(errors.ClientError) as missing:
            await sdk.aio.models.get(model="gpt-9")
        assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")


async def test_lists_cost_nothing_and_carry_the_headers_of_every_answer(
    edge: EdgeUnderTest,
) -> None:
    key, record = await edge.ledger.key(
        balance_uusd=0, caps=SpendCaps(quota_uusd=5_000_000), scopes=(Scope.MANAGE,)
    )
    reply = await edge.call("GET", "/v1/models?family=anthropic&family=x", key=key)
    assert [model["id"] for model in reply.json()["data"]] == GROUP
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-quota-remaining-credits"] == "5.00"
    assert reply.headers["x-request-id"].startswith("req_")
    assert edge.router.seen == []
    assert (await edge.ledger.state(record)).slots_in_use == 0


@pytest.mark.parametrize(
    ("path", "headers", "envelope"),
    [
        ("/v1/models", {}, "openai"),
        ("/v1/models/x", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/models", {"x-goog-api-client": "genai"}, "google"),
        ("/v1beta/models/x", {}, "google"),
        ("/v1/v1beta/models", {}, "google"),
    ],
)
async def test_without_a_key_each_is_refused_in_its_dialect(
    edge: EdgeUnderTest, path: str, headers: dict[str, str], envelope: str
) -> None:
    reply = await edge.call("GET", path, headers=headers)
    assert (reply.status, envelope_of(reply)) == (401, envelope)


async def test_a_page_that_cannot_be_is_a_400(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.call("GET", "/v1beta/models?pageSize=-1", key=key)
    assert (reply.status, envelope_of(reply)) == (400, "google")
