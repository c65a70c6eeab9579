"""The API's description as everybody gets it: through an edge, without a credential."""

from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.gateway import Gateway


async def test_the_document_is_served_and_valid(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/api/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert not list(OpenAPIV31SpecValidator(answer.json()).iter_errors())


async def test_the_page_is_served_under_a_policy_that_lets_nothing_in(gateway: Gateway) -> None:
    answer = await gateway.call("GET", "/api/reference")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.body.startswith(b"<!doctype html>")
    document = (await gateway.call("GET", "/api/openapi.json")).json()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"'.encode() in answer.body
