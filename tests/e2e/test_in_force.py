"""How soon a change is in force: two edges, hundreds of calls a second, and one rule that changes.

The clock starts when the management call has answered (or the catalogue file has been written) and
stops with the last answer that still follows the old rule, on whichever edge. Nobody else may
notice anything, and the one whom it concerns gets answers of the old rule or of the new one, never
something third.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import pytest

from bytespike_contracts.catalogue import parse_catalogue
from bytespike_contracts.money import TokenUsage, parse_usd, price
from tests.support.gateway import Answer, Customer, Gateway, eventually, running_gateway

CATALOGUE = Path(__file__).with_name("catalogue.toml")
MODEL = "claude-sonnet-4-6"
EXCLUSIVE = "exclusive"
EDGES = 2
PROMISED_S = 1.0
#: Long enough after the change for anything that is late to show itself.
WATCHED_S = 1.5
CALLS_PER_S = 300
#: Of so many calls one is a paid one; the others ask for the list of models.
PAID_EVERY = 3
#: A machine that cannot keep up makes fewer calls, not a queue whose length would be measured.
MOST_IN_FLIGHT = 48

Verdict = Literal["old", "new", "either", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One answer; times are monotonic seconds."""

    key_id: str
    edge: int
    paid: bool
    ended_s: float
    answer: Answer

    @property
    def ok(self) -> bool:
        return self.answer.status == 200 and self.answer.complete


class Traffic:
    """Customers calling in turn on both edges at a steady pace while the block runs."""

    def __init__(
        self, gateway: Gateway, customers: Sequence[Customer], *, model: str = MODEL
    ) -> None:
        self.gateway = gateway
        self.seen: list[Seen] = []
        self.lost: list[str] = []
        self._subject, *self._others = customers
        self._subject_model = model
        self._stop = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._pacing: asyncio.Task[None] | None = None
        self._began_s = self._ended_s = 0.0

    async def __aenter__(self) -> Self:
        self._began_s = time.monotonic()
        self._pacing = asyncio.create_task(self._pace())
        await self.seen_paid_on_all_edges(10)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._pacing is not None:
            await self._pacing
        await asyncio.gather(*self._in_flight)
        self._ended_s = time.monotonic()

    @property
    def per_s(self) -> float:
        """Answers a second, all customers and edges together."""
        return len(self.seen) / (self._ended_s - self._began_s)

    def of(self, customer: Customer) -> list[Seen]:
        return [seen for seen in self.seen if seen.key_id == customer.key_id]

    async def seen_paid_on_all_edges(self, count: int) -> None:
        """The customer whom it is about has had so many more paid answers on every edge."""
        start = len(self.seen)

        async def enough() -> bool:
            edges = Counter(
                seen.edge
                for seen in self.seen[start:]
                if seen.paid and seen.key_id == self._subject.key_id
            )
            return all(edges[edge] >= count for edge in range(EDGES))

        await eventually(enough, within_s=30)

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        # The one it is about makes half of the calls.
        callers = itertools.cycle([c for other in self._others for c in (self._subject, other)])
        at_s = loop.time()
        for number in itertools.count():
            if self._stop.is_set():
                return
            if len(self._in_flight) < MOST_IN_FLIGHT:
                caller = next(callers)
                # Turns of both kinds and both edges, for every caller alike.
                turn = number // (2 * len(self._others))
                task = asyncio.create_task(
                    self._call(caller, edge=turn % EDGES, paid=turn // EDGES % PAID_EVERY == 0)
                )
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            at_s = max(at_s + 1 / CALLS_PER_S, loop.time() - 1 / CALLS_PER_S)
            await asyncio.sleep(max(0.0, at_s - loop.time()))

    async def _call(self, customer: Customer, *, edge: int, paid: bool) -> None:
        model = self._subject_model if customer is self._subject else MODEL
        try:
            if paid:
                answer = await customer.post(ask(model), edge=edge)
            else:
                answer = await customer.get("/v1/models", edge=edge)
        except (aiohttp.ClientError, OSError) as error:
            self.lost.append(repr(error))
            return
        self.seen.append(
            Seen(
                key_id=customer.key_id,
                edge=edge,
                paid=paid,
                ended_s=time.monotonic(),
                answer=answer,
            )
        )


def ask(model: str) -> Mapping[str, Any]:
    return {
        "model": model,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "How many rivers reach the sea?"}],
    }


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A change, and how an answer shows which rule it was given by."""

    change: Callable[[Gateway, Customer], Awaitable[None]]
    verdict: Callable[[Seen], Verdict]
    model: str = MODEL
    group: str = "default"


async def in_force(gateway: Gateway, scenario: Scenario, name: str) -> float:
    """Seconds from the change until the last answer by the old rule, below zero if it came first.
    Asserts everything else this page promises.
    """
    org = await gateway.org(usd="1000", concurrency=500)
    if scenario.group == EXCLUSIVE:
        path = f"/api/v1/admin/accounts/{org['account_id']}/groups/{EXCLUSIVE}"
        await gateway.admin.call("PUT", path)
    subject = await gateway.customer(org=org, group=scenario.group)
    others = [await gateway.customer(usd="1000") for _ in range(2)]
    async with Traffic(gateway, [subject, *others], model=scenario.model) as traffic:
        await scenario.change(gateway, subject)
        changed_s = time.monotonic()
        await traffic.seen_paid_on_all_edges(5)
        left_s = changed_s + WATCHED_S - time.monotonic()
        await asyncio.sleep(max(0.0, left_s))  # the span that is watched, not a hope
    assert traffic.lost == []
    for other in others:
        assert Counter(seen.answer.status for seen in traffic.of(other)).keys() == {200}
    verdicts = [(scenario.verdict(seen), seen) for seen in traffic.of(subject)]
    wrong = [
        (s.answer.status, s.answer.body[:300]) for verdict, s in verdicts if verdict == "wrong"
    ]
    assert wrong == []
    for edge in range(EDGES):
        on_edge = {verdict for verdict, seen in verdicts if seen.edge == edge}
        assert {"old", "new"} <= on_edge, "both rules were seen, or nothing was measured"
    took_s = max(seen.ended_s for verdict, seen in verdicts if verdict == "old") - changed_s
    print(f"in force: {name}: {took_s * 1000:.0f} ms at {traffic.per_s:.0f} calls/s")
    assert took_s <= PROMISED_S
    return took_s


def refused(*statuses: int) -> Callable[[Seen], Verdict]:
    """Served by the old rule, refused with one of these by the new one."""

    def verdict(seen: Seen) -> Verdict:
        if seen.ok:
            return "old"
        return "new" if seen.answer.status in statuses else "wrong"

    return verdict


def only_paid(verdict: Callable[[Seen], Verdict]) -> Callable[[Seen], Verdict]:
    """The list of models is free of this rule."""

    def judged(seen: Seen) -> Verdict:
        if seen.paid:
            return verdict(seen)
        return "either" if seen.ok else "wrong"

    return judged


def charged(old_ppm: int, new_ppm: int) -> Callable[[Seen], Verdict]:
    """Charged by rates that differ in how much of the list price they are (in millionths)."""
    model = parse_catalogue(CATALOGUE.read_text(), {}).models[MODEL]
    assert model.price is not None
    old, new = model.price.rates(old_ppm), model.price.rates(new_ppm)

    def verdict(seen: Seen) -> Verdict:
        if not seen.ok:
            return "wrong"
        usage = seen.answer.json()["usage"]
        tokens = TokenUsage(
            input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"]
        )
        paid_uusd = parse_usd(seen.answer.headers["x-credits-used"])
        if paid_uusd == price(tokens, old):
            return "old"
        return "new" if paid_uusd == price(tokens, new) else "wrong"

    return only_paid(verdict)


def model_is(*, there: Literal["old", "new"]) -> Callable[[Seen], Verdict]:
    """Whether the key may call the model, and is shown it, by the old rule or by the new one."""
    gone: Verdict = "new" if there == "old" else "old"

    def verdict(seen: Seen) -> Verdict:
        if seen.paid:
            return there if seen.ok else gone if seen.answer.status == 403 else "wrong"
        if not seen.ok:
            return "wrong"
        shown = any(model["id"] == MODEL for model in seen.answer.json()["data"])
        return there if shown else gone

    return verdict


def writing(
    write: Callable[[str], None], text: str
) -> Callable[[Gateway, Customer], Awaitable[None]]:
    async def change(_gateway: Gateway, _customer: Customer) -> None:
        write(text)

    return change


class MountedCatalogue:
    """A catalogue as Kubernetes mounts it: every change turns a link to a new folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._versions = itertools.count(1)
        self.path = folder / "catalogue.toml"
        self.turn(CATALOGUE.read_text())
        self.path.symlink_to("..data/catalogue.toml")

    def turn(self, text: str) -> None:
        """Change it by turning the link."""
        version = f"..{next(self._versions)}"
        (self._folder / version).mkdir()
        (self._folder / version / "catalogue.toml").write_text(text)
        (self._folder / "..next").symlink_to(version)
        (self._folder / "..next").rename(self._folder / "..data")

    def overwrite(self, text: str) -> None:
        """Change it in place."""
        self.path.write_text(text)


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> MountedCatalogue:
    return MountedCatalogue(tmp_path_factory.mktemp("mounted"))


@pytest.fixture(scope="module")
async def busy(
    mounted: MountedCatalogue, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    async with running_gateway(
        tmp_path_factory.mktemp("busy"),
        catalogue=mounted.path,
        edges=EDGES,
        environment={
            "REFUSED_VENDOR_SECRET": "sk-sim-bad",
            # All callers share one address here, and half of them are refused on purpose.
            "BYTESPIKE_EDGE_AUTH_FAILURES_PER_MINUTE": "1000000",
        },
    ) as gateway:
        yield gateway


@pytest.fixture
async def quiet(busy: Gateway, mounted: MountedCatalogue) -> AsyncIterator[Gateway]:
    """The gateway with the catalogue it began with, before and after."""
    await busy.simulator.reset()
    probe = await busy.customer(group="half-price")
    before = await estimates(probe)
    yield busy
    mounted.turn(CATALOGUE.read_text())

    async def as_before() -> bool:
        return await estimates(probe) == before

    await eventually(as_before)


async def estimates(customer: Customer) -> list[str]:
    """What a call would cost at most, edge by edge; where it is refused, why."""
    found = []
    for edge in range(EDGES):
        answer = await customer.post(ask(MODEL), edge=edge, x_bytespike_dry_run="true")
        found.append(answer.headers.get("x-estimated-credits", str(answer.status)))
    return found


def update(**changes: Any) -> Callable[[Gateway, Customer], Awaitable[None]]:
    async def change(_gateway: Gateway, customer: Customer) -> None:
        await customer.update(**changes)

    return change


async def disable(gateway: Gateway, customer: Customer) -> None:
    await gateway.admin.call("POST", f"/api/v1/admin/keys/{customer.key_id}/disable")


async def delete(gateway: Gateway, customer: Customer) -> None:
    await gateway.admin.call("DELETE", f"/api/v1/admin/keys/{customer.key_id}")


async def revoke_group(gateway: Gateway, customer: Customer) -> None:
    path = f"/api/v1/admin/accounts/{customer.account_id}/groups/{EXCLUSIVE}"
    await gateway.admin.call("DELETE", path)


async def rotate(gateway: Gateway, customer: Customer) -> None:
    """Whoever still calls with the old secret is refused."""
    await gateway.admin.call("POST", f"/api/v1/admin/keys/{customer.key_id}/rotate", {})


async def pause_org(gateway: Gateway, customer: Customer) -> None:
    path = f"/api/v1/admin/orgs/{customer.org_id}"
    await gateway.admin.call("PATCH", path, {"status": "paused"})


def switch(channel: str, state: str) -> Callable[[Gateway, Customer], Awaitable[None]]:
    async def change(gateway: Gateway, _customer: Customer) -> None:
        path = f"/api/v1/admin/channels/{channel}"
        await gateway.admin.call("PUT", path, {"state": state, "reason": "a test"})

    return change


SCENARIOS: Mapping[str, Scenario] = {
    "key disabled": Scenario(change=disable, verdict=refused(401)),
    "key deleted": Scenario(change=delete, verdict=refused(401)),
    "address refused": Scenario(
        change=update(ip_deny=["127.0.0.0/8", "::1"]), verdict=refused(403)
    ),
    "quota lowered": Scenario(change=update(quota="0.000001"), verdict=only_paid(refused(402))),
    "key moved to another group": Scenario(
        change=update(group="half-price"), verdict=charged(1_000_000, 500_000)
    ),
    "key rotated": Scenario(change=rotate, verdict=refused(401)),
    "organisation paused": Scenario(change=pause_org, verdict=refused(401)),
    "group taken away": Scenario(change=revoke_group, verdict=refused(401), group=EXCLUSIVE),
    "channel switched off": Scenario(
        change=switch("fails", "disabled"), verdict=only_paid(refused(503)), model="sim-fails"
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_managed_change(quiet: Gateway, name: str) -> None:
    await in_force(quiet, SCENARIOS[name], name)


async def test_a_price_in_a_mounted_file(quiet: Gateway, mounted: MountedCatalogue) -> None:
    doubled = {"input": "6.00", "output": "30.00", "cache_read": "0.60"}
    text = CATALOGUE.read_text()
    for field, old in (("input", "3.00"), ("output", "15.00"), ("cache_read", "0.30")):
        assert f'{field} = "{old}"' in text
        text = text.replace(f'{field} = "{old}"', f'{field} = "{doubled[field]}"', 1)
    scenario = Scenario(change=writing(mounted.turn, text), verdict=charged(1_000_000, 2_000_000))
    await in_force(quiet, scenario, "price changed")


async def test_a_multiplier_in_a_file_that_is_overwritten(
    quiet: Gateway, mounted: MountedCatalogue
) -> None:
    text = CATALOGUE.read_text().replace('multiplier = "0.5"', 'multiplier = "0.25"')
    scenario = Scenario(
        change=writing(mounted.overwrite, text),
        verdict=charged(500_000, 250_000),
        group="half-price",
    )
    await in_force(quiet, scenario, "multiplier changed")


async def test_a_model_leaves_a_group_and_comes_back(
    quiet: Gateway, mounted: MountedCatalogue
) -> None:
    before = CATALOGUE.read_text()
    after = before.replace(f'models = ["{MODEL}"]', 'models = ["claude-recorded"]')
    assert after != before
    leaving = Scenario(
        change=writing(mounted.turn, after), verdict=model_is(there="old"), group="half-price"
    )
    await in_force(quiet, leaving, "model left the group")
    returning = Scenario(
        change=writing(mounted.turn, before), verdict=model_is(there="new"), group="half-price"
    )
    await in_force(quiet, returning, "model back in the group")


async def test_the_books_are_right_after_all_this(quiet: Gateway) -> None:
    async def settled() -> bool:
        return await quiet.unacknowledged() == 0

    await eventually(settled)
    audit = await quiet.audit()
    assert audit["clean"] is True, audit
    assert await quiet.rows("select reason from parked_events") == []
