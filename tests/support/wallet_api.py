"""The ledger as a process with Stripe set up, and callers of its money routes."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bytespike_cli.ports import free_port
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.accounts.orgs import create_org
from bytespike_ledger.app import amain
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime.settings import Secret
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, OPERATOR, Customer, Rig, plain_controls
from tests.support.stripe import API_KEY, WEBHOOK_SECRET, FakeStripe, signed

__all__ = ["Answer", "WalletClient", "new_customer", "wallet_client"]

_OPERATOR = {"authorization": "Bearer admin-token"}


@dataclass(frozen=True)
class Answer:
    """A reply; amounts are exact decimals. ``body`` is None if it is no JSON."""

    status: int
    text: str
    headers: Any

    @property
    def body(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and param of an error in OpenAI's envelope."""
        return self.status, self.body["error"]["code"], self.body["error"]["param"]


@dataclass(frozen=True)
class WalletClient:
    """Calls as an operator, as a customer's key, or as a payment provider."""

    session: aiohttp.ClientSession
    url: str

    async def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body else b""
        async with self.session.request(
            method, self.url + path, data=data, headers=_OPERATOR if headers is None else headers
        ) as response:
            return Answer(response.status, await response.text(), response.headers)

    async def account(
        self, customer: Customer, method: str, what: str, body: object = None
    ) -> Answer:
        """An operator's call below the customer's account."""
        path = f"/api/v1/admin/accounts/{customer.account_id}/{what}"
        return await self.call(method, path, body)

    async def own(
        self, customer: Customer, method: str, what: str, body: object = None, **who: Any
    ) -> Answer:
        """A customer's call below ``/api/v1/me/billing``."""
        principal = Principal(
            request_id="req_of_the_edge",
            account_id=customer.account_id,
            key_id=customer.key_id,
            group="default",
            scopes=("inference", "manage"),
            org_id=customer.org_id,
        )
        headers = {
            INTERNAL_TOKEN_HEADER: "internal-token",
            PRINCIPAL_HEADER: encode_principal(principal),
        }
        return await self.call(method, f"/api/v1/me/billing/{what}", body, headers)

    async def report(self, body: bytes, signature: str | None = None) -> Answer:
        """An event of Stripe's."""
        header = signed(body) if signature is None else signature
        return await self.call(
            "POST", "/api/v1/payments/stripe/events", body, {"stripe-signature": header}
        )


@asynccontextmanager
async def wallet_client(
    rig: Rig, postgres_url: str, redis_url: str, nats_url: str, folder: Path, stripe: FakeStripe
) -> AsyncIterator[WalletClient]:
    """A running ledger over the rig's servers."""
    (folder / "catalogue.toml").write_text(CATALOGUE)
    settings = LedgerSettings(
        port=free_port(),
        ops_port=free_port(),
        postgres_url=Secret(postgres_url),
        redis_url=Secret(redis_url),
        nats_url=Secret(nats_url),
        internal_token=Secret("internal-token"),
        admin_token=Secret("admin-token"),
        catalogue=str(folder / "catalogue.toml"),
        drain_timeout_s=5,
        stripe_api_key=Secret(API_KEY),
        stripe_webhook_secret=Secret(WEBHOOK_SECRET),
        stripe_return_url="https://console.example.com/billing",
        stripe_url=stripe.url,
    )
    stop = asyncio.Event()
    async with (
        aiohttp.ClientSession(headers={"content-type": "application/json"}) as session,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(amain(settings, stop))
        ops = WalletClient(session, f"http://127.0.0.1:{settings.ops_port}")

        async def ready() -> bool:
            try:
                return (await ops.call("GET", "/readyz")).status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready)
        yield WalletClient(session, f"http://127.0.0.1:{settings.port}")
        stop.set()


async def new_customer(rig: Rig, *, tier: str = "free", scopes: str = "manage") -> Customer:
    """An organisation with an empty wallet and a key that may manage it."""
    org = await create_org(
        rig.books, OPERATOR, name=f"org {secrets.token_hex(4)}", tier=tier, concurrency=None
    )
    controls = {**plain_controls(), "scopes": [scopes]}
    made = await create_key(
        rig.books, rig.catalogue, org.account_id, custom_key=None, controls=controls
    )
    return Customer(org.id, org.account_id, made.row.id, made.row.key_hash.hex())
