"""Stripe as the ledger meets it: an HTTP server that opens checkouts, and signed events.

Signatures are made by the official package, so what we accept is what Stripe sends.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from stripe import WebhookSignature

from bytespike_cli.ports import LOOPBACK

__all__ = ["API_KEY", "EVENTS", "WEBHOOK_SECRET", "FakeStripe", "event", "fake_stripe", "signed"]

API_KEY = "sk_test_of_nobody"
WEBHOOK_SECRET = "whsec_test_of_nobody"
_FOLDER = Path(__file__).parent / "stripe_events"
EVENTS = sorted(path.stem for path in _FOLDER.glob("*.json"))


@dataclass
class FakeStripe:
    """What it was asked, and how it answers the next questions (status None = as it should)."""

    url: str = ""
    asked: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    status: int | None = None
    body: bytes = b"{}"

    async def handle(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), strict_parsing=True))
        self.asked.append(({k.lower(): v for k, v in request.headers.items()}, form))
        if self.status is not None:
            return web.Response(status=self.status, body=self.body)
        reference = form["client_reference_id"]
        return web.json_response(
            {
                "id": f"cs_test_{reference}",
                "object": "checkout.session",
                "url": f"https://checkout.stripe.com/c/pay/cs_test_{reference}",
                "payment_status": "unpaid",
            }
        )


@asynccontextmanager
async def fake_stripe() -> AsyncIterator[FakeStripe]:
    """The server, for a while."""
    fake = FakeStripe()
    app = web.Application()
    app.router.add_post("/v1/checkout/sessions", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    fake.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def event(name: str, *, event_id: str | None = None, **changes: Any) -> bytes:
    """One of the kept events with another id and other fields of its object."""
    content = json.loads((_FOLDER / f"{name}.json").read_text())
    if event_id is not None:
        content["id"] = event_id
    content["data"]["object"].update(changes)
    return json.dumps(content, indent=2).encode()


def signed(body: bytes, *, at_s: int | None = None, secret: str = WEBHOOK_SECRET) -> str:
    """The ``Stripe-Signature`` of a body, as Stripe would send it."""
    at_s = int(time.time()) if at_s is None else at_s
    signature = WebhookSignature._compute_signature(f"{at_s}.{body.decode()}", secret)
    return f"t={at_s},v1={signature}"
