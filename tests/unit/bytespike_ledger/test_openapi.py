"""The API's description of itself: a valid document that says what the routes say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from bytespike_ledger.accounts.actors import ROLES, Permission, Role
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.openapi import openapi_document, statuses
from bytespike_ledger.api.reference import ReferenceApi
from bytespike_ledger.api.reference_page import PAGE_HEADERS, reference_page
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.table import all_routes
from bytespike_ledger.api.wire import Request
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch

NOBODY = cast(Any, None)
#: Elements without an end tag.
VOID = {"meta", "br", "hr", "img", "input", "link"}


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    """The real table; nothing in it is called."""
    return all_routes(
        cast(Books, SimpleNamespace(pool=None)),
        cast(CatalogueWatch, None),
        audit=NOBODY,
        rebuild=NOBODY,
        put_back=NOBODY,
        providers={},
    )


@pytest.fixture(scope="module")
def document(routes: list[Route]) -> dict[str, Any]:
    """As it is served: through JSON."""
    encoded = msgspec.json.encode(openapi_document(routes, version="1"))
    return dict(json.loads(encoded))


def described(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_an_openapi_document(document: dict[str, Any]) -> None:
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())


def test_it_describes_every_route_and_no_other(
    routes: list[Route], document: dict[str, Any]
) -> None:
    assert set(described(document)) == {(route.method, route.path) for route in routes}


def test_every_operation_says_everything(routes: list[Route], document: dict[str, Any]) -> None:
    operations = described(document)
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    for route in routes:
        operation = operations[route.method, route.path]
        assert operation["summary"] == route.summary
        assert operation["tags"] == [route.tag]
        assert set(operation["responses"]) == {str(status) for status in statuses(route)}
        in_path = [one for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert [one["name"] for one in in_path] == re.findall(r"\{(\w+)\}", route.path)
        for parameter in in_path:
            assert parameter["description"] != f"Which one: {parameter['name']}", (
                f"{route.path}: say in openapi._IDS what {parameter['name']} is"
            )
        match route.access:
            case Access.PUBLIC:
                assert operation["security"] == []
            case Access.OPERATOR:
                assert operation["security"] == [{"admin_token": []}]
            case _:
                assert operation["security"] == [{"api_key": []}]
                assert operation["x-permission"] == route.access.value
        assert ("requestBody" in operation) is (route.body is not None)


def test_statuses_follow_from_what_a_route_is() -> None:
    class Body(Request, frozen=True, kw_only=True):
        name: str

    def route(**more: Any) -> set[int]:
        fields = {"method": "GET", "path": "/x", "access": Access.PUBLIC, **more}
        return statuses(Route(handler=NOBODY, summary="", tag="", **fields))

    assert route() == {200, 503}
    assert route(access=Access.OPERATOR) == {200, 401, 429, 503}
    assert route(access=Permission.READ_SELF, path="/x/{y}") == {200, 401, 403, 404, 429, 503}
    assert route(method="POST", body=Body, status=201, also=(200, 402)) == {
        *(200, 201, 400, 402, 409, 413, 415, 503)
    }


def test_an_idempotent_route_says_how() -> None:
    async def handler(_: Call) -> Reply:
        return Reply(None)

    once = Route(
        method="POST",
        path="/x",
        handler=handler,
        summary="x",
        tag="x",
        access=Access.OPERATOR,
        idempotent=True,
    )
    operation = described(openapi_document([once], version="1"))["POST", "/x"]
    assert [one["name"] for one in operation["parameters"]] == ["Idempotency-Key"]


class Outline(HTMLParser):
    """What a page consists of; fails on tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [str(attributes[name]) for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> Outline:
    return Outline(reference_page(document).decode())


def test_the_page_shows_every_operation_with_its_fields(
    page: Outline, document: dict[str, Any]
) -> None:
    for (method, path), operation in described(document).items():
        assert operation["operationId"] in page.values("id")
        assert f"{method} {path}" in page.text
        assert operation["summary"] in page.text
        for parameter in operation.get("parameters", ()):
            assert parameter["name"] in page.text
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}):
            assert field in page.text
    for word in (*(role.value for role in Role), *(one.value for one in Permission)):
        assert word in page.text


def test_the_role_table_is_the_role_table(document: dict[str, Any]) -> None:
    html = reference_page(document).decode()
    for permission in Permission:
        row = html.partition(f"<tr><td><code>{permission.value}</code></td>")[2]
        cells = re.findall(r"<td>(\w*)</td>", row.partition("</tr>")[0])
        assert cells == ["yes" if permission in allowed else "" for allowed in ROLES.values()]


def test_the_page_needs_nothing_from_elsewhere(page: Outline) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "link", "iframe", "form"})
    assert not page.values("style")
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    for link in page.values("href"):
        assert link == "/api/openapi.json" or link.removeprefix("#") in ids


def test_the_policy_lets_this_very_style_in_and_nothing_else() -> None:
    policy = PAGE_HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_words_of_the_document_stay_words() -> None:
    evil = Route(
        method="GET",
        path="/x",
        handler=NOBODY,
        summary="<script>alert(1)</script> & `<b>`",
        tag='"><i>',
        access=Access.PUBLIC,
    )
    html = reference_page(openapi_document([evil], version="<u>")).decode()
    assert not re.search(r"<(script|i|u)>", html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>&lt;b&gt;</code>" in html


async def test_what_is_served_is_what_the_routes_say(
    routes: list[Route], document: dict[str, Any]
) -> None:
    owned = {route.path: route for route in routes if route.tag == "reference"}
    others = [route for route in routes if route.path not in owned]
    described_by = ReferenceApi(described=others, version="1")
    served = await described_by.document(Call(who=None))
    assert json.loads(cast(bytes, served.body)) == document
    shown = await described_by.page(Call(who=None))
    assert shown.body == reference_page(document)
    assert shown.headers == PAGE_HEADERS
