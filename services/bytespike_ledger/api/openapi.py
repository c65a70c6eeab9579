"""The OpenAPI 3.1 document, written from the routes and their structs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from bytespike_ledger.accounts.actors import ROLES, Permission
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import schema_hook

__all__ = ["openapi_document"]

_REFERENCES = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"\{(\w+)\}")


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` is the stable word to branch on; ``param`` the JSON path of the offending field."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Every failure looks like this."""

    error: ErrorDetail


def openapi_document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """The whole document as JSON-ready values."""
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ByteSpike management API",
            "version": version,
            "description": "Accounts, keys, usage and money. Amounts are USD decimals.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Error": {
                    "description": "Refused, or not possible now",
                    "content": {"application/json": {"schema": schemas[Error]}},
                }
            },
            "securitySchemes": {
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "admin_token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    """``({type: schema or reference}, {name: schema})`` of everything the routes name."""
    kinds: list[Any] = [Error]
    for route in routes:
        for kind in (route.query, route.body, route.reply):
            if kind is not None and kind not in kinds:
                kinds.append(kind)
    found, components = msgspec.json.schema_components(
        kinds, schema_hook=schema_hook, ref_template=_REFERENCES
    )
    return dict(zip(kinds, found, strict=True)), components


def _operation(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {
            str(route.status): _success(route, schemas),
            "default": {"$ref": "#/components/responses/Error"},
        },
        **_access(route),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    if route.query is not None:
        parameters += _query_parameters(route.query)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            # An absent body is an empty object.
            "required": any(field.required for field in msgspec.structs.fields(route.body)),
            "content": {"application/json": {"schema": schemas[route.body]}},
        }
    return operation


def _success(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.reply is not None:
        response["content"] = {route.content_type: {"schema": schemas[route.reply]}}
    elif route.status != HTTPStatus.NO_CONTENT:
        response["content"] = {route.content_type: {"schema": {"type": "string"}}}
    return response


def _access(route: Route) -> dict[str, Any]:
    """Credentials, and in words who may call."""
    match route.access:
        case Access.PUBLIC:
            return {"security": []}
        case Access.OPERATOR:
            return {"security": [{"admin_token": []}], "description": "For operators."}
        case _:
            return {
                "security": [{"api_key": []}],
                "description": _who_may(route.access),
                "x-permission": route.access.value,
            }


def _who_may(permission: Permission) -> str:
    if permission is Permission.READ_SELF:
        return "For every key."
    roles = [role.value for role, allowed in ROLES.items() if permission in allowed]
    return f"For keys with the scope manage of: {', '.join(roles)}."


def _query_parameters(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    schema = msgspec.json.schema_components(
        [kind], schema_hook=schema_hook, ref_template=_REFERENCES
    )[1][kind.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", route.path.lower()).strip("_")
    return f"{route.method.lower()}_{words}"
