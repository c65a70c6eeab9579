"""The management API over a :class:`Rig`, in the test's own loop, and the people who call it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bytespike_contracts.keys import KeyRecord, key_record_name
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.catalogue import CatalogueWatch
from tests.support.ledger import CATALOGUE, Rig, plain_controls
from tests.support.served_ledger import ADMIN_TOKEN, INTERNAL_TOKEN, served_ledger

__all__ = ["ADDRESS", "Company", "Management", "Told", "management", "some_email"]

ADDRESS = "198.51.100.7"
_ROLES = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True)
class Told:
    """One answer; amounts keep the digits they were written with (``Decimal``)."""

    status: int
    body: Any
    text: str

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and param of a refusal."""
        return self.status, self.body["error"]["code"], self.body["error"]["param"]


@dataclass(frozen=True, kw_only=True)
class Company:
    """An organisation with a member and a ``manage`` key of theirs for each role."""

    id: str
    account_id: str
    members: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Management:
    """Calls as an operator or with a key, as the edge forwards them."""

    rig: Rig
    session: aiohttp.ClientSession
    base: str

    async def admin(
        self, method: str, path: str, body: object = None, *, token: str = ADMIN_TOKEN
    ) -> Told:
        """A call below ``/api/v1/admin``."""
        headers = {"authorization": f"Bearer {token}"}
        return await self._call(method, "/api/v1/admin" + path, body, headers)

    async def own(self, key_id: str, method: str, path: str, body: object = None) -> Told:
        """A call below ``/api/v1`` with a key that the edge let through."""
        principal = Principal(
            request_id="req_of_the_edge",
            account_id="acct_the_books_know",
            key_id=key_id,
            group="default",
            scopes=("manage",),
        )
        headers = {PRINCIPAL_HEADER: encode_principal(principal)}
        return await self._call(method, "/api/v1" + path, body, headers)

    async def company(self, *roles: str) -> Company:
        """A new organisation with these roles filled (default: all of them)."""
        org = (await self.admin("POST", "/orgs", {"name": "Acme"})).body
        members, keys = {}, {}
        for role in roles or _ROLES:
            member = await self.member(org["id"], role)
            members[role] = member["id"]
            keys[role] = await self.key(org["account_id"], member["id"])
        return Company(id=org["id"], account_id=org["account_id"], members=members, keys=keys)

    async def member(self, org_id: str, role: str) -> Any:
        """Somebody new in an organisation."""
        body = {"email": some_email(), "name": f"The {role}", "role": role}
        made = await self.admin("POST", f"/orgs/{org_id}/members", body)
        assert made.status == 201, made.text
        return made.body

    async def key(self, account_id: str, member_id: str | None, *scopes: str) -> str:
        """The id of a new key of a member (or of the account)."""
        controls = {**plain_controls(), "scopes": list(scopes or ["manage"])}
        made = await create_key(
            self.rig.books,
            self.rig.catalogue,
            account_id,
            custom_key=None,
            controls={**controls, "member_id": member_id},
        )
        return made.row.id

    async def record(self, key_id: str) -> KeyRecord:
        """What the edges read of a key in Redis, now."""
        hash_hex = await self.rig.value(
            "select encode(key_hash, 'hex') from api_keys where id = $1", key_id
        )
        body = await self.rig.pipe.command("GET", key_record_name(str(hash_hex)))
        return msgspec.json.decode(body, type=KeyRecord)

    async def events(self, account_id: str) -> list[tuple[str, str | None, Any]]:
        """``(type, member id, body)`` of everything told of an account, oldest first."""
        rows = await self.rig.value(
            """select coalesce(json_agg(json_build_array(type, member_id, body) order by id), '[]')
               from account_events where account_id = $1""",
            account_id,
        )
        return [tuple(row) for row in json.loads(str(rows))]

    async def somebody_waits(self) -> bool:
        """Whether a statement waits for a lock right now."""
        waiting = "select exists (select from pg_locks where not granted)"
        return bool(await self.rig.value(waiting))

    async def _call(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Told:
        data = b"" if body is None else msgspec.json.encode(body)
        by_edge = {INTERNAL_TOKEN_HEADER: INTERNAL_TOKEN, CLIENT_ADDRESS_HEADER: ADDRESS}
        async with self.session.request(
            method, self.base + path, data=data, headers={**by_edge, **headers}
        ) as response:
            text = await response.text()
            return Told(response.status, json.loads(text, parse_float=Decimal), text)


def some_email() -> str:
    """An address nobody has had yet."""
    return f"{secrets.token_hex(6)}@people.example"


@asynccontextmanager
async def management(rig: Rig, folder: Path) -> AsyncIterator[Management]:
    """All routes over the rig's books, served; the catalogue goes into ``folder``."""
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(CATALOGUE)

    watch = CatalogueWatch(str(catalogue), rig.books.prices)
    async with served_ledger(rig, watch) as (session, base):
        yield Management(rig, session, base)
