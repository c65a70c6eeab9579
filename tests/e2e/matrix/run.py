"""Drives cells of the matrix against one gateway, all at once, and gathers what everybody wrote
down about each: the client's SDK, the vendor, the ledger.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.e2e.matrix.anthropic_driver import AnthropicDriver
from tests.e2e.matrix.chat_driver import ChatDriver
from tests.e2e.matrix.gemini_driver import GeminiDriver
from tests.e2e.matrix.model import DIALECTS, Ask, Client, Dialect, Driver, Failure, Reply
from tests.e2e.matrix.responses_driver import ResponsesDriver
from tests.e2e.matrix.scenarios import OUTPUTS, SCENARIOS, Scenario
from tests.support.gateway import Customer, Gateway, Row, eventually
from tests.support.simulator import Seen

__all__ = ["CELLS", "CELL_HEADER", "DRIVERS", "Cell", "Outcome", "run_cells"]

#: Passed on to the vendor by both services here, so that its record can be told apart by cell.
CELL_HEADER = "x-matrix-cell"
#: More at once only makes single calls slower.
_AT_ONCE = 12
#: The default of the simulator's list is 100.
_MOST_EXCHANGES = 10_000


class Cell(NamedTuple):
    """One square: who asks, who answers, what, and how."""

    client: Dialect
    upstream: Dialect
    scenario: str
    stream: bool

    @property
    def id(self) -> str:
        """As pytest shows it."""
        how = "streamed" if self.stream else "whole"
        return f"{self.client}-to-{self.upstream}-{self.scenario}-{how}"

    @property
    def relayed(self) -> bool:
        """Whether both sides speak the same."""
        return self.client == self.upstream

    @property
    def model(self) -> str:
        """As the client spells it."""
        return f"Via.{self.upstream}{SCENARIOS[self.scenario].model}"


CELLS = [
    Cell(client, upstream, scenario, stream)
    for client in DIALECTS
    for upstream in DIALECTS
    for scenario in SCENARIOS
    for stream in (False, True)
]


@dataclass(kw_only=True)
class Outcome:
    """Everything about one cell: what the SDK gave for each request, in order; the vendor's record
    and the ledger's rows of them, likewise.
    """

    cell: Cell
    answers: list[Reply | Failure] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


DRIVERS: Mapping[Dialect, type[Driver]] = {
    "anthropic": AnthropicDriver,
    "openai_chat": ChatDriver,
    "openai_responses": ResponsesDriver,
    "gemini": GeminiDriver,
}


async def run_cells(gateway: Gateway, cells: Iterable[Cell]) -> dict[Cell, Outcome]:
    """Run every cell once with a key of its own, and wait once for all to be settled."""
    wanted = list(dict.fromkeys(cells))
    payer = await gateway.org(usd="10000", concurrency=1000)
    by_dialect = {dialect: driver(gateway.urls[0]) for dialect, driver in DRIVERS.items()}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(cell: Cell) -> tuple[Outcome, Customer]:
        async with slots:
            customer = await gateway.customer(org=payer)
            outcome = Outcome(cell=cell)
            await _ask(outcome, by_dialect[cell.client], customer)
            return outcome, customer

    try:
        done = await asyncio.gather(*(one(cell) for cell in wanted))
    finally:
        for driver in by_dialect.values():
            await driver.close()
    await _gather_books(gateway, done)
    return {outcome.cell: outcome for outcome, _ in done}


async def _ask(outcome: Outcome, driver: Driver, customer: Customer) -> None:
    cell = outcome.cell
    scenario = SCENARIOS[cell.scenario]
    history = _history(driver, scenario)
    ask = replace(scenario.ask, model=cell.model)
    for number, faults in enumerate(scenario.faults_for(stream=cell.stream)):
        client = _client(cell, number, customer, faults)
        outcome.answers.append(await _send(driver, cell, ask, history, client))
    answer = outcome.answers[-1]
    if scenario.answers_calls and isinstance(answer, Reply):
        history = [*history, *answer.native, *driver.results(answer.calls, OUTPUTS)]
        client = _client(cell, len(outcome.answers), customer, "")
        after = replace(ask, forced=False)
        outcome.answers.append(await _send(driver, cell, after, history, client))


async def _send(
    driver: Driver, cell: Cell, ask: Ask, history: list[object], client: Client
) -> Reply | Failure:
    try:
        return await driver.send(ask, history, client, stream=cell.stream)
    except Exception as error:  # noqa: BLE001 - whatever the SDK makes of bad bytes is the finding
        return Failure(error=error, status=None)


def _history(driver: Driver, scenario: Scenario) -> list[object]:
    history: list[object] = []
    for role, text, media in scenario.said:
        history += driver.user(text, *media) if role == "user" else driver.assistant(text)
    return history


def _client(cell: Cell, number: int, customer: Customer, faults: str) -> Client:
    headers = {CELL_HEADER: f"{cell.id}/{number}"}
    if faults:
        headers["x-simulator-fault"] = faults
    return Client(customer.key, headers)


async def _gather_books(gateway: Gateway, done: Sequence[tuple[Outcome, Customer]]) -> None:
    by_cell: defaultdict[str, list[Seen]] = defaultdict(list)
    for seen in reversed(await gateway.simulator.requests(limit=_MOST_EXCHANGES)):
        by_cell[seen.headers.get(CELL_HEADER, "").partition("/")[0]].append(seen)
    reached = 0
    for outcome, _ in done:
        outcome.seen = by_cell[outcome.cell.id]
        reached += len({seen.headers[CELL_HEADER] for seen in outcome.seen})
    keys = [customer.key_id for _, customer in done]
    rows: list[Row] = []

    async def written() -> bool:
        rows[:] = await gateway.rows(
            "select * from usage where key_id = any($1) order by request_id", keys
        )
        return len(rows) >= reached

    await eventually(written)
    await gateway.settled(done[0][1])
    by_key: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row["key_id"]].append(row)
    for outcome, customer in done:
        outcome.rows = by_key[customer.key_id]
