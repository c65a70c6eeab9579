"""The OpenAPI 3.1 document, written from the routes and their structs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from bytespike_ledger.accounts.actors import ROLES, Permission
from bytespike_ledger.api.route import ID_PATTERN, Access, Route
from bytespike_ledger.api.wire import schema_hook

__all__ = ["openapi_document", "statuses"]

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


#: The shape of every id in a path, and what the words mean.
_IDS = {
    "account": "an account (`acct_…`)",
    "org": "an organisation (`org_…`)",
    "key": "an API key (`key_…`)",
    "member": "a member (`mem_…`)",
    "user": "a user (`usr_…`)",
    "webhook": "a webhook",
    "event": "a parked event",
    "channel": "a channel of the catalogue",
    "delivery": "a delivery of the webhook",
    "group": "a routing group of the catalogue",
    "model": "a model of the catalogue, under any of its names",
    "month": "a month in UTC, such as `2026-01`",
    "notification": "a notification",
    "operator": "an operator (`op_…`)",
    "provider": "a payment provider, such as `stripe`",
    "request": "a request (`req_…`)",
}
#: Why a status comes, beside that of success; the body is the error envelope.
_REASONS = {
    400: "What was sent is not what is described here",
    401: "No valid credential; the same answer for every reason",
    402: "There is not enough money",
    403: "The credential may not do this",
    404: "Not here, or not the caller's to see",
    409: "Not possible as things are, or an idempotency key that was used for something else",
    410: "Gone for good",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "What was sent cannot be worked with",
    429: "Too many wrong credentials from this address; `Retry-After` says when to come back",
    503: "Not possible now; `Retry-After` says when to come back",
}
_RETRY_AFTER = {
    "description": "Seconds to wait",
    "schema": {"type": "integer", "minimum": 1},
}
_REQUEST_ID = {"description": "The id to quote to support", "schema": {"type": "string"}}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again with the same body repeats the answer and changes nothing",
    "schema": {"type": "string", "pattern": "^[ -~]{1,200}$"},
}


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
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                str(status): _failure(status, reason, schemas)
                for status, reason in _REASONS.items()
            },
            "headers": {"RequestId": _REQUEST_ID, "RetryAfter": _RETRY_AFTER},
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
            str(status): _success(route, status, schemas)
            if status < 400
            else {"$ref": f"#/components/responses/{status}"}
            for status in sorted(statuses(route))
        },
        **_access(route),
    }
    parameters = [_path_parameter(name) for name in _VARIABLE.findall(route.path)]
    if route.idempotent:
        parameters.append(_IDEMPOTENCY_KEY)
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


def statuses(route: Route) -> set[int]:
    """Every status a call of the route can end with, faults of ours (500) aside."""
    found = {route.status, 503, *route.also}
    if route.access is not Access.PUBLIC:
        found |= {401, 429}
    if isinstance(route.access, Permission):
        found.add(403)  # the role, the scope, or an address the key is not for
    if _VARIABLE.search(route.path):
        found.add(404)
    if route.query is not None or route.body is not None or route.idempotent:
        found.add(400)
    if route.body is not None:
        found |= {413, 415}
    if route.method != "GET":
        found.add(409)
    return found


def _path_parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"Which one: {_IDS.get(name, name)}",
        "schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
    }


def _failure(status: int, reason: str, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status in {429, 503}:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": reason,
        "headers": headers,
        "content": {"application/json": {"schema": schemas[Error]}},
    }


def _success(route: Route, status: int, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    }
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
