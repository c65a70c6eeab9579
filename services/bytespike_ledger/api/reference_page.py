"""The OpenAPI document as one HTML page: no script, nothing from elsewhere. Pure.

Every word comes from the document (and so from the routes), and everything is escaped on its way
in. The page works without JavaScript; what is long folds with ``<details>``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from http import HTTPStatus
from importlib import resources
from typing import Any

from bytespike_ledger.accounts.actors import ROLES, Permission
from bytespike_ledger.api.schema_words import Schemas

__all__ = ["PAGE_HEADERS", "reference_page"]

Json = Mapping[str, Any]

_STYLE = (resources.files("bytespike_ledger.api") / "reference.css").read_text()
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
#: The page brings its one style and nothing else: no script, no frame, nothing from elsewhere.
PAGE_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def reference_page(document: Json) -> bytes:
    """The page, UTF-8."""
    title = escape(document["info"]["title"])
    groups = _by_tag(document)
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{_text(document['info']['description'])} Version {escape(document['info']['version'])}"
        ' · <a href="/api/openapi.json">OpenAPI document</a></p>',
        _roles(),
        *(_group(tag, operations, document) for tag, operations in groups.items()),
        _errors(document),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<nav>{_contents(groups)}</nav><main>{''.join(parts)}</main></body></html>"
    )
    return page.encode()


Operation = tuple[str, str, Json]  # method, path, operation


def _by_tag(document: Json) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return groups


def _contents(groups: Mapping[str, Sequence[Operation]]) -> str:
    lines = ['<a href="#roles">Roles</a>']
    for tag, operations in groups.items():
        lines.append(f'<h2><a href="#{_anchor(tag)}">{escape(tag)}</a></h2>')
        lines += [
            f'<a href="#{escape(operation["operationId"])}"><b>{method}</b> {escape(path)}</a>'
            for method, path, operation in operations
        ]
    lines.append('<h2><a href="#errors">Errors</a></h2>')
    return "".join(lines)


def _roles() -> str:
    head = "".join(f"<th>{escape(role.value)}</th>" for role in ROLES)
    rows = "".join(
        f"<tr><td><code>{permission.value}</code></td>"
        + "".join(
            f"<td>{'yes' if permission in allowed else ''}</td>" for allowed in ROLES.values()
        )
        + "</tr>"
        for permission in Permission
    )
    return (
        '<section id="roles"><h2>Roles</h2><p>What a key may do follows from the role of its member'
        " and from its scope: all but <code>read_self</code> needs the scope <code>manage</code>."
        " Keys of no member act as owner.</p>"
        f"<table><thead><tr><th>permission</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        "</section>"
    )


def _group(tag: str, operations: Sequence[Operation], document: Json) -> str:
    body = "".join(_operation(operation, document) for operation in operations)
    return f'<section id="{_anchor(tag)}"><h2>{escape(tag)}</h2>{body}</section>'


def _operation(described: Operation, document: Json) -> str:
    method, path, operation = described
    schemas = Schemas(document["components"]["schemas"])
    permission = operation.get("x-permission")
    needs = f" Permission: <code>{escape(permission)}</code>." if permission else ""
    return (
        f'<article id="{escape(operation["operationId"])}">'
        f'<h3><span class="{method.lower()}">{method}</span> <code>{escape(path)}</code></h3>'
        f"<p>{_text(operation['summary'])}.</p>"
        f'<p class="who">{_text(operation.get("description", "For everybody."))}{needs}</p>'
        f"{_parameters(operation.get('parameters', ()), schemas)}"
        f"{_request(operation, schemas)}{_responses(operation, document, schemas)}"
        f"<pre>{escape(_curl(described, schemas))}</pre></article>"
    )


def _parameters(parameters: Sequence[Json], schemas: Schemas) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(schemas.kind(each['schema']))}</td>"
        f"<td>{'yes' if each['required'] else ''}</td>"
        f"<td>{_text(each.get('description') or schemas.words(each['schema']))}</td></tr>"
        for each in parameters
    )
    return (
        "<h4>Parameters</h4><table><thead><tr><th>name</th><th>in</th><th>type</th>"
        f"<th>required</th><th></th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _request(operation: Json, schemas: Schemas) -> str:
    if "requestBody" not in operation:
        return ""
    content = operation["requestBody"]["content"]
    return "".join(f"<h4>Body</h4>{_schema(each['schema'], schemas)}" for each in content.values())


def _responses(operation: Json, document: Json, schemas: Schemas) -> str:
    shown, refused = [], []
    for status, response in operation["responses"].items():
        if "$ref" in response:
            description = document["components"]["responses"][status]["description"]
            refused.append(f"<li><code>{status}</code> {_text(description)}</li>")
            continue
        shown.append(f"<h4>{status} {escape(HTTPStatus(int(status)).phrase)}</h4>")
        for kind, content in response.get("content", {}).items():
            shown.append(f"<p><code>{escape(kind)}</code></p>{_schema(content['schema'], schemas)}")
    return (
        f"{''.join(shown)}<details><summary>Refusals</summary><ul>{''.join(refused)}</ul>"
        '<p>In the <a href="#errors">error envelope</a>.</p></details>'
    )


def _errors(document: Json) -> str:
    schemas = Schemas(document["components"]["schemas"])
    rows = "".join(
        f"<tr><td><code>{status}</code></td><td>{_text(response['description'])}</td></tr>"
        for status, response in document["components"]["responses"].items()
    )
    first = next(iter(document["components"]["responses"].values()))
    schema = first["content"]["application/json"]["schema"]
    return (
        f'<section id="errors"><h2>Errors</h2>{_schema(schema, schemas)}'
        f"<table><tbody>{rows}</tbody></table></section>"
    )


def _schema(schema: Json, schemas: Schemas) -> str:
    """A schema as a table; nested things are indented below their field."""
    rows = "".join(_rows(schemas, schema))
    words = schemas.words(schema)
    about = f"<p>{_text(words)}</p>" if words else ""
    if not rows:
        return f"{about}<p><code>{escape(schemas.kind(schema))}</code></p>"
    return (
        f"{about}<table><thead><tr><th>field</th><th>type</th><th>required</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _rows(schemas: Schemas, schema: Json) -> Iterator[str]:
    for field in schemas.fields(schema):
        indent = f' class="d{field.depth}"' if field.depth else ""
        yield (
            f"<tr><td{indent}><code>{escape(field.name)}</code></td><td>{escape(field.kind)}</td>"
            f"<td>{'yes' if field.required else ''}</td><td>{_text(field.words)}</td></tr>"
        )


def _curl(described: Operation, schemas: Schemas) -> str:
    """A call to copy; variable parts are upper-case shell variables."""
    method, path, operation = described
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            name = parameter["name"]
            path = path.replace(f"{{{name}}}", f"${name.upper()}")
    lines = [f'curl -s{"" if method == "GET" else f" -X {method}"} "$BASE_URL{path}"']
    for need in operation["security"]:
        if "api_key" in need:
            lines.append('-H "x-api-key: $API_KEY"')
        if "admin_token" in need:
            lines.append('-H "Authorization: Bearer $ADMIN_TOKEN"')
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        lines += ["-H 'content-type: application/json'", f"-d '{schemas.example(schema)}'"]
    return " \\\n  ".join(lines)


def _anchor(tag: str) -> str:
    return "tag-" + re.sub(r"[^a-z0-9]+", "-", tag.lower())


def _text(words: str) -> str:
    """Words with `code` in them."""
    return "".join(
        f"<code>{escape(part)}</code>" if number % 2 else escape(part)
        for number, part in enumerate(words.replace("``", "`").split("`"))
    )
