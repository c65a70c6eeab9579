"""`bytespike seed`: invent companies and let a month of their traffic run through the real ledger.

People, keys and money go through the management API, requests through NATS like those of a router;
nothing is written to a database behind the ledger's back, so the books it leaves pass the audit.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec

from bytespike_cli.admin.run import gateway_of
from bytespike_cli.demo_file import nats_url_of
from bytespike_cli.gateway_api import ApiError, GatewayApi, decode
from bytespike_cli.home import Home, write_private
from bytespike_cli.seed.companies import COMPANIES, Colleague, Company, KeyPlan
from bytespike_cli.seed.month import Stretch, stretches
from bytespike_cli.seed.traffic import Sender, month_of_events
from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.subjects import usage_subject
from bytespike_contracts.usage import UsageEvent, encode_batch
from bytespike_runtime.bus import Bus, BusUnavailable
from bytespike_runtime.logs import configure_logs

__all__ = ["run_seed"]

_ADMIN = "/api/v1/admin"
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_EVENTS_PER_MESSAGE = 50
#: The ledger settles thousands of events a second; a stretch that takes longer than this is stuck.
_SETTLE_TIMEOUT_S = 180.0
_POLL_S = 0.2
#: The purchase with which an operator makes up for something.
_GOODWILL_AFTER = 2


#: Every company wants to hear of a low wallet.
_SETTINGS = {"low_balance_threshold_usd": "25.00", "auto_top_up": None}


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """One company as it was made; ``keys`` are secrets by ``colleague/key``."""

    name: str
    org_id: str
    account_id: str
    keys: dict[str, str]


def run_seed(args: argparse.Namespace, home: Path, catalogue: Path, env: Mapping[str, str]) -> int:
    """Carry the command out; the exit code."""
    if not (1 <= args.days <= 90 and 1 <= args.requests <= 500_000):
        print("bytespike seed: 1 to 90 days, 1 to 500000 requests", file=sys.stderr)
        return 2
    configure_logs("seed", "error")  # progress is printed; only what goes wrong is logged
    try:
        url, token = gateway_of(home, env)
        text = catalogue.read_text(encoding="utf-8")
        seeding = _Seeding(args, parse_catalogue(text, {}), nats_url_of(home, env))
        made = asyncio.run(seeding.run(url, token))
    except (ApiError, BusUnavailable, ValueError, OSError, TimeoutError) as error:
        print(f"bytespike seed: {error}", file=sys.stderr)
        return 1
    if made:
        path = Home(home).root / "secrets" / "seed.json"
        write_private(path, msgspec.json.format(msgspec.json.encode(made), indent=2).decode())
        print(f"\nKeys of everybody: {path}")
    return 0


class _Seeding:
    """One run."""

    def __init__(self, args: argparse.Namespace, catalogue: Catalogue, nats_url: str) -> None:
        self._catalogue = catalogue
        self._nats_url = nats_url
        self._requests: int = args.requests
        self._seed: int = args.seed
        self._end_ms = time.time_ns() // 1_000_000
        self._start_ms = (self._end_ms - args.days * _DAY_MS) // _HOUR_MS * _HOUR_MS

    async def run(self, url: str, token: str) -> list[Seeded]:
        bus = Bus(self._nats_url, name="seed")
        await bus.start()
        try:
            async with GatewayApi(url, token) as api:
                existing = {
                    org["name"] for org in decode(await api.every(f"{_ADMIN}/orgs"))["items"]
                }
                made = []
                for company in COMPANIES:
                    if company.name in existing:
                        print(f"{company.name} exists already: left as it is")
                    else:
                        made.append(await self._company(api, bus, company))
                return made
        finally:
            await bus.close()

    async def _company(self, api: GatewayApi, bus: Bus, company: Company) -> Seeded:
        org = await _post(api, f"{_ADMIN}/orgs", {"name": company.name, "tier": company.tier})
        account = f"{_ADMIN}/accounts/{quote(org['account_id'], safe='')}"
        senders, keys = [], {}
        for colleague in company.people:
            member_id = await _member(api, org["id"], colleague)
            for plan in colleague.keys:
                made = await _key(api, account, member_id, plan)
                keys[f"{colleague.name}/{plan.name}"] = made["key"]
                senders.append((_sender(org, made, plan), made["key"]))
        secrets = {sender.key_id: secret for sender, secret in senders}
        events = month_of_events(
            [sender for sender, _ in senders],
            self._catalogue,
            start_ms=self._start_ms,
            end_ms=self._end_ms,
            requests=max(1, round(self._requests * company.share)),
            random=Random(f"{self._seed} {company.name}"),  # noqa: S311 - a demo, not a secret
        )
        cut = stretches(
            events,
            start_ms=self._start_ms,
            top_up_usd=company.top_up_usd,
            refill_below_usd=company.refill_below_usd,
        )
        sent, spent_uusd = 0, 0
        await api.call("PUT", f"{account}/wallet-settings", _SETTINGS)
        for stretch in cut:
            await _buy(api, account, stretch)
            await _publish(bus, stretch.events)
            await _settled(api.base_url, stretch, secrets)
            sent += len(stretch.events)
            spent_uusd += sum(event.charge_uusd for event in stretch.events)
            print(f"  {company.name}: {sent} requests, {spent_uusd / 1e6:.2f} USD", flush=True)
        return Seeded(name=company.name, org_id=org["id"], account_id=org["account_id"], keys=keys)


async def _post(api: GatewayApi, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    return dict(decode(await api.call("POST", path, body)))


async def _member(api: GatewayApi, org_id: str, colleague: Colleague) -> str:
    body = {"email": colleague.email, "name": colleague.name, "role": colleague.role}
    path = f"{_ADMIN}/orgs/{quote(org_id, safe='')}/members"
    return str((await _post(api, path, body | colleague.caps))["id"])


async def _key(api: GatewayApi, account: str, member_id: str, plan: KeyPlan) -> dict[str, Any]:
    body = {"name": plan.name, "scopes": list(plan.scopes), "member_id": member_id}
    return await _post(api, f"{account}/keys", body | plan.controls)


def _sender(org: Mapping[str, Any], key: Mapping[str, Any], plan: KeyPlan) -> Sender:
    return Sender(
        key_id=key["id"],
        account_id=org["account_id"],
        org_id=org["id"],
        group=key["group"],
        share=plan.share,
        models=plan.models,
        dialect=plan.dialect,
        tokens_in=plan.tokens_in,
        tokens_out=plan.tokens_out,
        cached=plan.cached,
        streams=plan.streams,
    )


async def _buy(api: GatewayApi, account: str, stretch: Stretch) -> None:
    purchase = stretch.purchase
    body = {
        "usd": f"{purchase.usd}.00",
        "bonus": "ladder",
        "effective_at": str(purchase.at_ms // 1000),
        "idempotency_key": f"seed-{purchase.number}",
        "note": "demo month",
    }
    await api.call("POST", f"{account}/top-ups", body)
    if purchase.number == _GOODWILL_AFTER:
        goodwill = {
            "usd": "2.50",
            "reason": "goodwill for a slow morning",
            "idempotency_key": "seed-goodwill",
            "effective_at": body["effective_at"],
        }
        await api.call("POST", f"{account}/adjustments", goodwill)


async def _publish(bus: Bus, events: list[UsageEvent]) -> None:
    for start in range(0, len(events), _EVENTS_PER_MESSAGE):
        batch = events[start : start + _EVENTS_PER_MESSAGE]
        await bus.publish(
            usage_subject(batch[0].account_id),
            encode_batch(batch),
            message_id=f"seed-{batch[0].request_id}",
        )


async def _settled(base_url: str, stretch: Stretch, secrets: Mapping[str, str]) -> None:
    """Wait until the ledger shows the last request, so that money moves in the order of time."""
    last = stretch.last_listed
    if last is None:
        return
    async with (
        asyncio.timeout(_SETTLE_TIMEOUT_S),
        GatewayApi(base_url, secrets[last.key_id]) as customer,
    ):
        path = f"/v1/usage?request_id={last.request_id}"
        while True:
            if decode(await customer.call("GET", path))["items"]:
                return
            await asyncio.sleep(_POLL_S)
