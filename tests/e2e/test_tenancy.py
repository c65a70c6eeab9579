"""Who may call what, asked of every operation the API describes.

Nothing here names a route: operations come from the served document, and what their paths need
from ``tests.support.tenants``. A new route is walked because it exists.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from bytespike_ledger.accounts.actors import ROLES, Permission, Role
from tests.support.gateway import Answer, Gateway
from tests.support.tenants import (
    Operation,
    Tenant,
    fill_path,
    fingerprint,
    new_tenant,
    operations,
    served_schemas,
    variables,
)

#: Behind a proxy of ours: a test can say where it comes from, so that failures do not add up.
EDGE = 1
#: What everybody may ask for by name, so that a stranger gets an answer, too.
EVERYBODYS = {"group", "model", "month", "provider", "channel"}
_addresses = itertools.count(1)


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await new_tenant(gateway)


@pytest.fixture
async def stranger(gateway: Gateway) -> Tenant:
    return await new_tenant(gateway)


async def call(
    gateway: Gateway,
    operation: Operation,
    path: str,
    credential: Mapping[str, str],
    body: str = "{}",
) -> Answer:
    """The call, where a body is wanted with an empty object: enough to get past who is asking, and
    mostly no further.
    """
    number = next(_addresses)
    sent = {**credential, "x-forwarded-for": f"198.18.{number // 250}.{number % 250}"}
    data = None
    if "requestBody" in operation.described:
        sent["content-type"] = "application/json"
        data = body.encode()
    return await gateway.call(operation.method, path, data=data, headers=sent, edge=EDGE)


def key(secret: str) -> dict[str, str]:
    return {"x-api-key": secret}


async def test_another_organisations_key_finds_nothing_and_changes_nothing(
    gateway: Gateway, tenant: Tenant, stranger: Tenant
) -> None:
    wrong = []
    schemas = await served_schemas(gateway)
    for operation in await operations(gateway):
        if operation.permission is None or not variables(operation.path):
            continue
        if set(variables(operation.path)) <= EVERYBODYS:
            continue
        path = await fill_path(operation, tenant)
        before = await fingerprint(tenant)
        for secret in (stranger.owner_key, stranger.keys[None, "manage"]):
            body = operation.body(schemas)
            answer = await call(gateway, operation, path, key(secret), body)
            if answer.status not in {403, 404}:
                wrong.append((operation.id, answer.status, answer.body[:200]))
        if await fingerprint(tenant) != before:
            wrong.append((operation.id, 0, b"it changed something"))
    assert not wrong


async def test_what_a_strangers_call_without_ids_answers_is_not_of_the_tenant(
    gateway: Gateway, tenant: Tenant, stranger: Tenant
) -> None:
    ids = {
        tenant.org_id,
        tenant.account_id,
        *tenant.members.values(),
        *(
            row["id"]
            for row in await gateway.rows(
                "select id from api_keys where account_id = $1", tenant.account_id
            )
        ),
    }
    before = await fingerprint(tenant)
    schemas = await served_schemas(gateway)
    for operation in await operations(gateway):
        if operation.permission is None or not set(variables(operation.path)) <= EVERYBODYS:
            continue
        path = await fill_path(operation, stranger)
        answer = await call(
            gateway, operation, path, key(stranger.owner_key), operation.body(schemas)
        )
        told = [one for one in ids if one.encode() in answer.body]
        assert not told, operation.id
    assert await fingerprint(tenant) == before


@pytest.mark.parametrize("scope", ["inference", "manage"])
@pytest.mark.parametrize("role", list(Role))
async def test_every_role_may_what_the_table_says_and_nothing_else(
    gateway: Gateway, tenant: Tenant, role: Role, scope: str
) -> None:
    wrong = []
    for operation in await operations(gateway):
        if operation.permission is None:
            continue
        permission = Permission(operation.permission)
        may = permission is Permission.READ_SELF or (
            scope == "manage" and permission in ROLES[role]
        )
        path = await fill_path(operation, tenant)
        answer = await call(gateway, operation, path, key(tenant.keys[role, scope]))
        if (answer.status != 403) is not may or answer.status in {401, 429} or answer.status >= 500:
            wrong.append((operation.id, permission.value, answer.status, answer.body[:200]))
    assert not wrong


async def test_a_customers_key_is_nothing_to_an_operators_route(
    gateway: Gateway, tenant: Tenant
) -> None:
    secret = tenant.owner_key
    before = await fingerprint(tenant)
    for operation in await operations(gateway):
        if not operation.for_operators:
            continue
        path = operation.path
        for name in variables(path):
            path = path.replace(f"{{{name}}}", {"account": tenant.account_id}.get(name, "x"))
        for credential in (key(secret), {"authorization": f"Bearer {secret}"}, {}):
            answer = await call(gateway, operation, path, credential)
            assert (answer.status, answer.error["code"]) == (401, "invalid_api_key"), operation.id
            assert answer.error["message"] == "invalid admin token"
    assert await fingerprint(tenant) == before


async def test_an_operators_token_is_not_a_key(gateway: Gateway, tenant: Tenant) -> None:
    token = gateway.stack.admin_token
    for operation in await operations(gateway):
        if operation.permission is None:
            continue
        path = await fill_path(operation, tenant)
        for credential in (key(token), {"authorization": f"Bearer {token}"}, {}):
            answer = await call(gateway, operation, path, credential)
            assert (answer.status, answer.error["code"]) == (401, "invalid_api_key"), operation.id
            assert answer.error["message"] == "invalid API key"


async def test_public_routes_ask_nobody_who_they_are(gateway: Gateway, tenant: Tenant) -> None:
    for operation in await operations(gateway):
        if not operation.public or operation.method != "GET":
            continue
        answer = await call(gateway, operation, await fill_path(operation, tenant), {})
        assert answer.status == 200, operation.id
