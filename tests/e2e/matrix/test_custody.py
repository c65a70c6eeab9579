"""Reasoning state that does not find its way back: never forged, never shown to another vendor.

A conversation begins at one vendor, which thinks and calls tools, and goes on at another; or with a
client that keeps no more of an answer than its dialect's official fields.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.matrix.model import DIALECTS, Ask, Client, Dialect, Driver, Reply
from tests.e2e.matrix.run import CELL_HEADER, DRIVERS
from tests.e2e.matrix.scenarios import OUTPUTS, SCENARIOS
from tests.support.gateway import Customer, Gateway
from tests.support.simulator import Seen

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

_THINKING = SCENARIOS["thinking-tools"]
#: Vendors that give out state.
_ISSUERS: tuple[Dialect, ...] = ("anthropic", "openai_responses", "gemini")
#: Fields for state, and what stands in them.
_STATE = re.compile(r'"(?:signature|data|encrypted_content|thoughtSignature)": ?"([^"]+)"')
#: What Google documents for a call whose signature is lost; it says so instead of claiming one.
_NO_SIGNATURE = "skip_thought_signature_validator"


@pytest.fixture(params=DIALECTS)
async def driver(request: pytest.FixtureRequest, shared_gateway: Gateway) -> AsyncIterator[Driver]:
    kind: type[Driver] = DRIVERS[request.param]
    made = kind(shared_gateway.urls[0])
    yield made
    await made.close()


@pytest.fixture
async def customer(shared_gateway: Gateway) -> Customer:
    return await shared_gateway.customer()


class Talk:
    """Two requests of one client: a question, and the results of the tools that were called."""

    def __init__(self, driver: Driver, customer: Customer, name: str) -> None:
        self._driver = driver
        self._customer = customer
        self._name = name
        self._history = driver.user(_THINKING.said[0].text)

    async def asks(self, model: str) -> Reply:
        """The first request."""
        return await self._send(replace(_THINKING.ask, model=model), self._history, "ask")

    async def tells(self, model: str, first: Reply, native: list[Any], **headers: str) -> Reply:
        """The second one, with ``native`` as the assistant's turn."""
        results = self._driver.results(first.calls, OUTPUTS)
        ask = replace(_THINKING.ask, model=model, forced=False)
        return await self._send(ask, [*self._history, *native, *results], "tell", **headers)

    async def _send(self, ask: Ask, history: list[Any], mark: str, **headers: str) -> Reply:
        client = Client(self._customer.key, {CELL_HEADER: f"{self._name}/{mark}", **headers})
        answer = await self._driver.send(ask, history, client, stream=False)
        if not isinstance(answer, Reply):
            raise answer.error
        return answer

    async def seen(self) -> Seen:
        """The second request as the vendor got it."""
        wanted = f"{self._name}/tell"
        exchanges = await self._customer.gateway.simulator.requests(limit=50)
        [found] = [seen for seen in exchanges if seen.headers.get(CELL_HEADER) == wanted]
        return found


PAIRS = [(issuer, upstream) for issuer in _ISSUERS for upstream in DIALECTS if issuer != upstream]


@pytest.mark.parametrize(("issuer", "upstream"), PAIRS)
async def test_state_stays_with_its_issuer(
    driver: Driver, issuer: Dialect, upstream: Dialect, customer: Customer
) -> None:
    talk = Talk(driver, customer, f"{driver.dialect}-{issuer}-{upstream}")
    first = await talk.asks(f"Via.{issuer}.thinks")
    assert first.state
    second = await talk.tells(f"Via.{upstream}.thinks", first, first.native)
    assert second.text.startswith("You sent ")
    seen = await talk.seen()
    body = seen.body.decode()
    assert seen.dialect == upstream
    assert set(_STATE.findall(body)) <= {_NO_SIGNATURE}
    assert "bsp1." not in body
    assert not any(state in body for state in first.state)
    assert second.dropped
    with pytest.raises(driver.refused, match="strict"):
        await talk.tells(
            f"Via.{upstream}.thinks", first, first.native, **{"x-bytespike-strict": "true"}
        )


@pytest.mark.parametrize("issuer", _ISSUERS)
async def test_a_client_that_forgets_is_served_all_the_same(
    shared_gateway: Gateway, issuer: Dialect, customer: Customer
) -> None:
    """Many Chat clients keep text and calls alone: the vendor is told nothing in place of what is
    lost, and goes on.
    """
    driver = DRIVERS["openai_chat"](shared_gateway.urls[0])
    talk = Talk(driver, customer, f"forgets-{issuer}")
    first = await talk.asks(f"Via.{issuer}.thinks")
    [message] = first.native
    calls = [{k: v for k, v in c.items() if k != "extra_content"} for c in message["tool_calls"]]
    second = await talk.tells(
        f"Via.{issuer}.thinks", first, [{"role": "assistant", "tool_calls": calls}]
    )
    await driver.close()
    assert second.text.startswith("You sent ")
    assert set(_STATE.findall((await talk.seen()).body.decode())) <= {_NO_SIGNATURE}
