"""Organisations to walk the whole API with: members of every role, and a thing for every path.

``PATH_IDS`` says how each variable segment of a path is filled. A route with a segment that is not
named here fails the walks until somebody says how to make one: that is how new routes get covered.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from bytespike_contracts.ids import mint_id
from bytespike_ledger.accounts.actors import Role
from bytespike_ledger.api.schema_words import Schemas
from bytespike_ledger.books import wall_clock_ms
from tests.support.gateway import Gateway, eventually

__all__ = [
    "PATH_IDS",
    "Operation",
    "Tenant",
    "fill_path",
    "fingerprint",
    "new_tenant",
    "operations",
    "served_schemas",
    "variables",
]

_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the served document."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.described["operationId"])

    @property
    def permission(self) -> str | None:
        """Word of the role table; None for operators' and public routes."""
        return self.described.get("x-permission")

    @property
    def for_operators(self) -> bool:
        return {"admin_token": []} in self.described["security"]

    def body(self, schemas: Schemas) -> str:
        """The smallest body the description allows; an empty object where none is wanted."""
        if "requestBody" not in self.described:
            return "{}"
        content = self.described["requestBody"]["content"]["application/json"]
        return schemas.example(content["schema"])

    @property
    def public(self) -> bool:
        return not self.described["security"]


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An organisation. ``keys`` are by role and scope; that of no role is the account's own."""

    gateway: Gateway
    org_id: str
    account_id: str
    members: Mapping[Role, str]
    keys: Mapping[tuple[Role | None, str], str] = field(default_factory=dict)

    @property
    def owner_key(self) -> str:
        return self.keys[Role.OWNER, "manage"]


async def operations(gateway: Gateway) -> list[Operation]:
    """Everything the served document describes."""
    answer = await gateway.call("GET", "/api/openapi.json")
    assert answer.status == 200, answer.body
    return [
        Operation(method=method.upper(), path=path, described=described)
        for path, methods in answer.json()["paths"].items()
        for method, described in methods.items()
    ]


async def served_schemas(gateway: Gateway) -> Schemas:
    """The named schemas of the served document."""
    answer = await gateway.call("GET", "/api/openapi.json")
    return Schemas(answer.json()["components"]["schemas"])


async def new_tenant(gateway: Gateway) -> Tenant:
    """An organisation with a member of every role, each with a key of either scope."""
    org = await gateway.org()
    members = {role: await add_member(gateway, org, role) for role in Role}
    keys: dict[tuple[Role | None, str], str] = {
        (None, "manage"): (await _new_key(gateway, org["account_id"], "manage"))[1]
    }
    for role, member_id in members.items():
        for scope in ("inference", "manage"):
            key_id, key = await _new_key(gateway, org["account_id"], scope)
            await _execute(
                gateway, "update api_keys set member_id = $1 where id = $2", member_id, key_id
            )
            keys[role, scope] = key
    return Tenant(
        gateway=gateway,
        org_id=org["id"],
        account_id=org["account_id"],
        members=members,
        keys=keys,
    )


async def add_member(gateway: Gateway, org: Mapping[str, Any], role: Role) -> str:
    """A new user as member of an organisation; the member's id."""
    user_id, member_id = _mint("usr"), _mint("mem")
    await _execute(
        gateway,
        "insert into users (id, email, name) values ($1, $2, $3)",
        user_id,
        f"{secrets.token_hex(8)}@example.com",
        role.value,
    )
    await _execute(
        gateway,
        "insert into members (id, account_id, org_id, user_id, role) values ($1, $2, $3, $4, $5)",
        member_id,
        org["account_id"],
        org["id"],
        user_id,
        role.value,
    )
    return member_id


async def _new_key(gateway: Gateway, account_id: str, scope: str = "inference") -> tuple[str, str]:
    """Id and secret."""
    path = f"/api/v1/admin/accounts/{account_id}/keys"
    body = {"name": "walk", "scopes": ["inference", scope] if scope == "manage" else [scope]}
    made = json.loads(await gateway.admin.call("POST", path, body))
    return made["id"], made["key"]


async def _a_key(tenant: Tenant) -> str:
    return (await _new_key(tenant.gateway, tenant.account_id))[0]


async def _a_member(tenant: Tenant) -> str:
    org = {"id": tenant.org_id, "account_id": tenant.account_id}
    return await add_member(tenant.gateway, org, Role.MEMBER)


async def _a_user(tenant: Tenant) -> str:
    member_id = await _a_member(tenant)
    rows = await tenant.gateway.rows("select user_id from members where id = $1", member_id)
    return str(rows[0]["user_id"])


async def _a_parked_event(tenant: Tenant) -> str:
    body = secrets.token_bytes(16)
    rows = await tenant.gateway.rows(
        """insert into parked_events (reason, body_hash, body)
           values ('undecodable', $1, $2) returning id""",
        hashlib.sha256(body).digest(),
        body,
    )
    return str(rows[0]["id"])


async def _an_account_event(tenant: Tenant) -> str:
    event_id = _mint("evt")
    await _execute(
        tenant.gateway,
        """insert into account_events (id, account_id, type, body, due)
           values ($1, $2, 'org.settings.update', '{}', false)""",
        event_id,
        tenant.account_id,
    )
    return event_id


async def _a_webhook(tenant: Tenant) -> str:
    webhook_id = _mint("wh")
    await _execute(
        tenant.gateway,
        """insert into webhooks (id, account_id, url, event_types)
           values ($1, $2, $3, '{org.settings.update}')""",
        webhook_id,
        tenant.account_id,
        f"https://example.com/{webhook_id}",
    )
    return webhook_id


async def _a_delivery(tenant: Tenant) -> str:
    delivery_id = _mint("dlv")
    await _execute(
        tenant.gateway,
        """insert into webhook_deliveries
               (id, account_id, webhook_id, event_id, event_type, payload, status, next_attempt_at)
           values ($1, $2, $3, $4, 'org.settings.update', '{}', 'delivered', null)""",
        delivery_id,
        tenant.account_id,
        await _a_webhook(tenant),
        await _an_account_event(tenant),
    )
    return delivery_id


async def _a_notification(tenant: Tenant) -> str:
    notification_id = _mint("ntf")
    await _execute(
        tenant.gateway,
        """insert into notifications (id, account_id, event_id, type, title, body)
           values ($1, $2, $3, 'org.settings.update', 'walk', 'walk')""",
        notification_id,
        tenant.account_id,
        await _an_account_event(tenant),
    )
    return notification_id


def _always(text: str) -> Callable[[Tenant], Awaitable[str]]:
    async def make(_: Tenant) -> str:
        return text

    return make


async def _its_account(tenant: Tenant) -> str:
    return tenant.account_id


async def _its_org(tenant: Tenant) -> str:
    return tenant.org_id


async def _no_request(_: Tenant) -> str:
    return _mint("req")


#: Name of a path parameter -> how to make one that belongs to a tenant. Each call makes a new
#: thing where the API can change or delete it.
PATH_IDS: Mapping[str, Callable[[Tenant], Awaitable[str]]] = {
    "account": _its_account,
    "channel": _always("nobody"),
    "delivery": _a_delivery,
    "event": _a_parked_event,
    "group": _always("default"),
    "key": _a_key,
    "member": _a_member,
    "model": _always("claude-sonnet-4-6"),
    "month": _always("2026-01"),
    "notification": _a_notification,
    "operator": _always("op_nobody"),
    "org": _its_org,
    "provider": _always("manual"),
    "request": _no_request,
    "user": _a_user,
    "webhook": _a_webhook,
}


def variables(path: str) -> list[str]:
    """The variable segments of a path; fails if nobody said how to fill one."""
    names = _VARIABLE.findall(path)
    unknown = [name for name in names if name not in PATH_IDS]
    assert not unknown, (
        f"{path}: say in tests/support/tenants.py, PATH_IDS, how to make one of {unknown}"
    )
    return names


async def fill_path(operation: Operation, tenant: Tenant) -> str:
    """The path with new things of the tenant in it."""
    path = operation.path
    for name in variables(path):
        path = path.replace(f"{{{name}}}", await PATH_IDS[name](tenant))
    return path


async def fingerprint(tenant: Tenant) -> dict[str, str]:
    """A digest of each table's rows of the account: equal twice = nothing changed in between.

    Waits for the courier, which makes notifications of what has happened before.
    """

    async def all_told() -> bool:
        rows = await tenant.gateway.rows(
            "select from account_events where account_id = $1 and due", tenant.account_id
        )
        return not rows

    await eventually(all_told)
    tables = await tenant.gateway.rows(
        """select c.table_name as name from information_schema.columns c
           join pg_class t on t.relname = c.table_name and not t.relispartition
           where c.table_schema = 'public' and c.column_name = 'account_id'
             and t.relkind in ('r', 'p')
           order by 1"""
    )
    found = {}
    for name in ("accounts", *(row["name"] for row in tables)):
        column = "id" if name == "accounts" else "account_id"
        rows = await tenant.gateway.rows(
            f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as digest"
            f' from "{name}" t where {column} = $1',
            tenant.account_id,
        )
        found[name] = str(rows[0]["digest"])
    return found


async def _execute(gateway: Gateway, sql: str, *arguments: object) -> None:
    connection = await asyncpg.connect(gateway.stack.servers["postgres"].url)
    try:
        await connection.execute(sql, *arguments)
    finally:
        await connection.close()


def _mint(prefix: str) -> str:
    return mint_id(prefix, wall_clock_ms(), secrets.token_bytes(10))
