"""A ledger service with an encryption key, and people with keys of every role calling it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import _AsyncGeneratorContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bytespike_cli.home import mint_encryption_key
from bytespike_cli.ports import free_port
from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import key_hash
from bytespike_contracts.keys import KeyRecord, key_record_name
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_ledger.app import amain
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime import pg
from bytespike_runtime.settings import Secret
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, Rig, ledger

__all__ = ["KEK", "Answer", "Office", "Person", "running_office"]

KEK = mint_encryption_key()
_EXCLUSIVE_GROUP = """
[[groups]]
id = "vip"
public = false
"""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and param."""
        return self.status, self.body["error"]["code"], self.body["error"]["param"]


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody with a key that manages (or not) in an organisation."""

    office: Office
    org_id: str | None
    account_id: str
    member_id: str | None
    key_id: str

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """What the edge makes of a call of this key. ``path`` below ``/api/v1/keys``."""
        principal = Principal(
            request_id=f"req_{secrets.token_hex(8)}",
            account_id=self.account_id,
            key_id=self.key_id,
            group="default",
            scopes=("manage",),
            org_id=self.org_id,
        )
        sent = {
            INTERNAL_TOKEN_HEADER: "internal-token",
            PRINCIPAL_HEADER: encode_principal(principal),
            CLIENT_ADDRESS_HEADER: "203.0.113.9",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self.office.call(method, f"/api/v1/keys{path}", body, headers=sent)

    def at(self, office: Office) -> Person:
        """The same person at another ledger."""
        return replace(self, office=office)

    async def make(self, **fields: object) -> Any:
        """A new key, as answered."""
        made = await self.call("POST", "", {"name": "made", **fields})
        assert made.status == 201, made.body
        return made.body


@dataclass(frozen=True, kw_only=True)
class Office:
    """The service from outside, and its stores."""

    session: aiohttp.ClientSession
    base: str
    rig: Rig
    settings: LedgerSettings

    def beside(self, keys: str | None) -> _AsyncGeneratorContextManager[Office]:
        """A second service over the same stores, with other encryption keys."""
        return _serving(self.rig, self.settings, keys)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As an operator unless ``headers`` say otherwise."""
        sent = {"authorization": "Bearer admin-token"} if headers is None else headers
        data = b"" if body is None else msgspec.json.encode(body)
        async with self.session.request(
            method, self.base + path, data=data, headers=sent
        ) as response:
            return Answer(response.status, json.loads(await response.text()), response.headers)

    async def org(self) -> tuple[str, str]:
        """A new organisation: its id and its account's."""
        made = await self.call("POST", "/api/v1/admin/orgs", {"name": "Acme"})
        return made.body["id"], made.body["account_id"]

    async def person(
        self, org: tuple[str, str], role: str | None, *, scopes: tuple[str, ...] = ("manage",)
    ) -> Person:
        """A member with a key; ``role`` None = a key of no member, as operators make it."""
        org_id, account_id = org
        member_id = None
        if role is not None:
            user_id, member_id = f"user_{secrets.token_hex(8)}", f"mem_{secrets.token_hex(8)}"
            await self.execute(
                "insert into users (id, email, name) values ($1, $2, 'Somebody')",
                user_id,
                f"{user_id}@example.com",
            )
            await self.execute(
                """insert into members (id, account_id, org_id, user_id, role)
                   values ($1, $2, $3, $4, $5)""",
                member_id,
                account_id,
                org_id,
                user_id,
                role,
            )
        made = await self.call(
            "POST",
            f"/api/v1/admin/accounts/{account_id}/keys",
            {"name": f"of {role}", "scopes": scopes, "member_id": member_id},
        )
        assert made.status == 201, made.body
        return Person(
            office=self,
            org_id=org_id,
            account_id=account_id,
            member_id=member_id,
            key_id=made.body["id"],
        )

    async def execute(self, query: str, *args: object) -> None:
        async with pg.connection(self.rig.books.pool) as conn:
            await conn.execute(query, *args)

    async def rows(self, query: str, *args: object) -> list[dict[str, Any]]:
        async with pg.connection(self.rig.books.pool) as conn:
            return [dict(row) for row in await conn.fetch(query, *args)]

    async def record(self, secret: str) -> KeyRecord | None:
        """What the edges read under a secret."""
        text = await self.rig.pipe.command("GET", key_record_name(key_hash(secret)))
        return None if text is None else msgspec.json.decode(text, type=KeyRecord)

    async def works(self, secret: str) -> bool:
        """Whether an edge would take it now."""
        record = await self.record(secret)
        now_ms = self.rig.books.now_ms()
        return (
            record is not None
            and record.enabled
            and (record.expires_ms is None or now_ms < record.expires_ms)
        )


@asynccontextmanager
async def running_office(
    postgres_server: PostgresServer, redis_url: str, nats_url: str, folder: Path
) -> AsyncIterator[Office]:
    """A new database and a service over it that seals under :data:`KEK`."""
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(CATALOGUE + _EXCLUSIVE_GROUP)
    database = postgres_server.create_database(f"keys_{secrets.token_hex(6)}")
    settings = LedgerSettings(
        postgres_url=Secret(database),
        redis_url=Secret(redis_url),
        nats_url=Secret(nats_url),
        internal_token=Secret("internal-token"),
        admin_token=Secret("admin-token"),
        catalogue=str(catalogue),
        drain_timeout_s=5,
    )
    async with ledger(database, redis_url, nats_url) as rig, _serving(rig, settings, KEK) as office:
        yield office


@asynccontextmanager
async def _serving(rig: Rig, like: LedgerSettings, keys: str | None) -> AsyncIterator[Office]:
    settings: LedgerSettings = msgspec.structs.replace(
        like,
        port=free_port(),
        ops_port=free_port(),
        encryption_keys=None if keys is None else Secret(keys),
    )
    stop = asyncio.Event()
    async with (
        aiohttp.ClientSession(headers={"content-type": "application/json"}) as session,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(amain(settings, stop))

        async def ready() -> bool:
            try:
                ops = f"http://127.0.0.1:{settings.ops_port}/readyz"
                async with session.get(ops) as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(ready)
        base = f"http://127.0.0.1:{settings.port}"
        yield Office(session=session, base=base, rig=rig, settings=settings)
        stop.set()
