"""The management API over a :class:`Rig`, in the test's own loop: what the edge would forward."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDictProxy

from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_ledger.catalogue import CatalogueWatch
from tests.support.ledger import Customer, Rig
from tests.support.served_ledger import ADMIN_TOKEN, INTERNAL_TOKEN, served_ledger

__all__ = ["LedgerAnswer", "LedgerApi", "ledger_api"]


@dataclass(frozen=True)
class LedgerAnswer:
    """One answer; amounts keep the digits they were written with (``Decimal``)."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]


@dataclass(frozen=True)
class LedgerApi:
    """Calls as an operator, as a customer's key, or as anybody."""

    session: aiohttp.ClientSession
    base: str

    async def admin(self, method: str, path: str, body: object = None) -> LedgerAnswer:
        """As the operator ``root``."""
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        return await self._call(method, "/api/v1/admin" + path, body, headers)

    async def own(
        self, customer: Customer, path: str, *, method: str = "GET", body: object = None
    ) -> LedgerAnswer:
        """With a customer's key, judged by the edge."""
        principal = Principal(
            request_id="req_of_the_edge",
            account_id=customer.account_id,
            key_id=customer.key_id,
            group="default",
            scopes=("inference",),
            org_id=customer.org_id,
        )
        headers = {
            INTERNAL_TOKEN_HEADER: INTERNAL_TOKEN,
            PRINCIPAL_HEADER: encode_principal(principal),
        }
        return await self._call(method, path, body, headers)

    async def public(self, path: str) -> LedgerAnswer:
        """Without any credential."""
        return await self._call("GET", path, None, {})

    async def _call(
        self, method: str, path: str, body: object, headers: dict[str, str]
    ) -> LedgerAnswer:
        data = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            headers = {**headers, "content-type": "application/json"}
        async with self.session.request(
            method, self.base + path, data=data, headers=headers
        ) as response:
            decoded = json.loads(await response.text(), parse_float=Decimal)
            return LedgerAnswer(response.status, decoded, response.headers)


@asynccontextmanager
async def ledger_api(rig: Rig, catalogue: CatalogueWatch) -> AsyncIterator[LedgerApi]:
    """All routes over the rig's books, served."""

    async with served_ledger(rig, catalogue) as (session, base):
        yield LedgerApi(session, base)
