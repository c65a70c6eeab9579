"""``kill -9`` of the ledger: what it had committed it does not charge again, what it had not it
charges later.
"""

from __future__ import annotations

import signal
from typing import Any

from bytespike_contracts.money import format_usd, parse_usd
from tests.fault.load import SETTLED_WITHIN_S, START_UUSD, Load, nothing_held, reckon
from tests.support.gateway import Customer, Gateway, eventually

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}
CALLS = 10


def _signal(gateway: Gateway, part: str, number: signal.Signals) -> None:
    child = gateway.stack.parts[part].child
    assert child is not None
    child.send(number)


async def _committed(gateway: Gateway, customer: Customer) -> bool:
    rows = await gateway.rows("select 1 from usage where account_id = $1", customer.account_id)
    return len(rows) == CALLS


async def test_between_commit_and_acknowledgement(gateway: Gateway) -> None:
    """Redis stands still, so the ledger commits to Postgres and then cannot go on: it is killed
    there, the events come again, and nothing is charged twice.
    """
    customer = await gateway.customer()
    _signal(gateway, "ledger", signal.SIGSTOP)
    answers = [await customer.post(ASK) for _ in range(CALLS)]
    assert {answer.status for answer in answers} == {200}
    _signal(gateway, "redis", signal.SIGSTOP)
    try:
        _signal(gateway, "ledger", signal.SIGCONT)
        await eventually(lambda: _committed(gateway, customer))
        gateway.stack.parts["ledger"].kill()
    finally:
        _signal(gateway, "redis", signal.SIGCONT)
    assert await gateway.unacknowledged() > 0
    await gateway.stack.parts["ledger"].start()
    await eventually(lambda: _all_acknowledged(gateway), within_s=SETTLED_WITHIN_S)
    await nothing_held(customer)
    rows = await gateway.usage_of(customer, CALLS)
    assert {row["request_id"] for row in rows} == {answer.request_id for answer in answers}
    spent_uusd = sum(row["charge_uusd"] for row in rows)
    assert await customer.balance_uusd() == START_UUSD - spent_uusd
    transfers = await gateway.rows(
        "select 1 from transfers where account_id = $1 and kind = 'settle'", customer.account_id
    )
    assert len(transfers) == CALLS
    assert (await gateway.audit())["clean"] is True


async def _all_acknowledged(gateway: Gateway) -> bool:
    return await gateway.unacknowledged() == 0


async def test_a_ledger_that_lags_lets_no_money_be_spent_twice(gateway: Gateway) -> None:
    """Nothing is settled for a while; what is finished counts all the same."""
    estimate = await (await gateway.customer()).post(ASK, x_bytespike_dry_run="true")
    hold_uusd = parse_usd(estimate.headers["x-estimated-credits"])
    customer = await gateway.customer(usd=format_usd(3 * hold_uusd))
    _signal(gateway, "ledger", signal.SIGSTOP)
    spent_uusd = 0
    try:
        while (answer := await customer.post(ASK)).status == 200:
            spent_uusd += parse_usd(answer.headers["x-credits-used"])
    finally:
        _signal(gateway, "ledger", signal.SIGCONT)
    assert answer.status == 402
    assert 2 * hold_uusd < spent_uusd <= 3 * hold_uusd
    await gateway.settled(customer)
    assert await customer.balance_uusd() == 3 * hold_uusd - spent_uusd
    assert (await gateway.audit())["clean"] is True


async def test_again_and_again_under_load(gateway: Gateway) -> None:
    """Calls go on as if nothing were; every one of them is charged in the end."""
    customers = [await gateway.customer() for _ in range(2)]
    async with Load(gateway, customers) as load:
        for _ in range(4):
            gateway.stack.parts["ledger"].kill()
            await load.more(20)
            await gateway.stack.parts["ledger"].start()
            await load.more(5)
    assert set(load.outcomes) == set()
    await reckon(load)
    await _check_invoice(gateway, load)


async def _check_invoice(gateway: Gateway, load: Load) -> None:
    """What the vendor would bill is what our second book says we owe."""
    usage = (await gateway.simulator.invoice())["claude-sonnet-4-6"].usage
    [booked] = await gateway.rows(
        "select sum(input_tokens)::bigint as input, sum(output_tokens)::bigint as output"
        " from usage_attempts where request_id = any($1)",
        list(load.paid),
    )
    assert booked == {"input": usage.input_tokens, "output": usage.output_tokens}
