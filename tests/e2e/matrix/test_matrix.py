"""Every client dialect to every upstream dialect, through the official SDKs: 416 cells."""

from __future__ import annotations

import base64
import json
import re

import pytest

from bytespike_contracts.money import TokenUsage, price
from tests.e2e.matrix import expectations
from tests.e2e.matrix.model import Failure, Reply
from tests.e2e.matrix.run import CELLS, DRIVERS, Cell, Outcome
from tests.e2e.matrix.scenarios import OUTPUTS, SCENARIOS, STATUSES
from tests.support.gateway import Gateway, Row

#: Google's SDK subclasses what aiohttp would rather not have subclassed.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

THOUGHT = "The user wants an answer. I shall say how much they sent."
#: Opaque state in a vendor's answer, whole or streamed; a wrapped one is never the vendor's.
_STATE = re.compile(rb'"(?:signature|encrypted_content|thoughtSignature)": ?"([^"]+)"')
_ANSWERED = [cell for cell in CELLS if not cell.scenario.endswith("error")]
_REFUSED = [cell for cell in CELLS if cell.scenario == "error"]
_BROKEN = [cell for cell in CELLS if cell.scenario == "mid-stream-error"]


def _id(value: object) -> str | None:
    return value.id if isinstance(value, Cell) else None


def test_the_matrix_is_whole() -> None:
    assert len(CELLS) == 4 * 4 * 13 * 2
    assert len(_ANSWERED) + len(_REFUSED) + len(_BROKEN) == len(CELLS)


@pytest.mark.parametrize("cell", _ANSWERED, ids=_id)
def test_answered(cell: Cell, outcomes: dict[Cell, Outcome], shared_gateway: Gateway) -> None:
    outcome = outcomes[cell]
    words = expectations.vendor_refuses(cell)
    if words:
        [answer] = outcome.answers
        assert isinstance(answer, Failure)
        assert words in str(answer.error)
        assert [row["charge_uusd"] for row in outcome.rows] == [0]
        return
    replies = [_reply(answer) for answer in outcome.answers]
    assert len(replies) == len(outcome.seen) == 1 + SCENARIOS[cell.scenario].answers_calls
    for number, reply in enumerate(replies):
        assert reply.stop == expectations.stop(cell, number)
        assert reply.dropped == expectations.dropped(cell, number)
        assert (reply.model == cell.model) is not cell.relayed
        assert reply.headers["x-bytespike-attempts"] == "1"
    _check_asked(cell, outcome)
    _check_said(cell, replies)
    _check_thoughts(cell, replies, outcome)
    _check_money(outcome, replies, shared_gateway)


def _reply(answer: Reply | Failure) -> Reply:
    if isinstance(answer, Failure):
        raise answer.error
    return answer


def _check_asked(cell: Cell, outcome: Outcome) -> None:
    """Everything the client said has reached the vendor."""
    scenario = SCENARIOS[cell.scenario]
    first = _plain_base64(outcome.seen[0].body)
    for said in scenario.said:
        assert said.text in first
        assert all(_plain_base64(media.data.encode()) in first for media in said.media)
    assert scenario.ask.system in first
    for tool in scenario.ask.tools:
        assert tool.description in first
    if scenario.answers_calls:
        assert all(output in outcome.seen[1].body.decode() for output in OUTPUTS.values())
    assert all(seen.dialect == cell.upstream for seen in outcome.seen)


def _check_said(cell: Cell, replies: list[Reply]) -> None:
    """What the vendor said has reached the client."""
    scenario, last = SCENARIOS[cell.scenario], replies[-1]
    if scenario.answers_calls:
        calls = [(call.name, call.arguments) for call in replies[0].calls]
        assert calls == [("get_weather", {"place": "sample"}), ("get_time", {"zone": "UTC"})]
        assert replies[0].text == ""
    match cell.scenario:
        case "structured":
            assert json.loads(last.text) == {"river": "sample", "km": 1}
        case "max-tokens":
            assert last.text.startswith("You sent 18 char")
            assert not expectations.ANSWER.fullmatch(last.text)
        case "stop-sequence" if expectations.stops_early(cell):
            assert last.text.endswith("This is the ByteSpike ")
        case "refusal":
            assert last.text in {"", "I'm sorry, but I cannot help with that."}
        case _:
            found = expectations.ANSWER.fullmatch(last.text)
            assert found
            words = [said.text for said in scenario.said] + [expectations.added_words(cell)]
            assert int(found["chars"]) == sum(map(len, words))


def _check_thoughts(cell: Cell, replies: list[Reply], outcome: Outcome) -> None:
    shown = THOUGHT if expectations.shows_thoughts(cell) else ""
    assert [reply.thoughts for reply in replies] == [shown] * len(replies)
    if not expectations.keeps_state(cell):
        return
    issued = [found.decode() for found in _STATE.findall(outcome.seen[0].sent)]
    assert issued
    assert replies[0].state
    if not cell.relayed:
        # In custody under its issuer's name: it never passes for the client dialect's own.
        assert all(_is_wrapped(state, cell.upstream) for state in replies[0].state)
    back = _plain_base64(outcome.seen[1].body)
    # Of a stream the last word counts; Responses sends an unfinished state before.
    assert _plain_base64(issued[-1].encode()) in back
    assert "bsp1." not in back
    assert "skip_thought_signature" not in back


def _is_wrapped(state: str, issuer: str) -> bool:
    text = state if state.startswith("bsp1.") else base64.b64decode(state).decode()
    return text.startswith(f"bsp1.{issuer}.")


def _plain_base64(body: bytes) -> str:
    """With both alphabets of base64 made one, JSON's escapes of them undone."""
    return body.decode().replace("\\/", "/").replace("-", "+").replace("_", "/")


def _check_money(outcome: Outcome, replies: list[Reply], gateway: Gateway) -> None:
    """To the token: the client's SDK, the ledger and the vendor tell the same."""
    assert len(outcome.rows) == len(replies)
    for reply, seen, row in zip(replies, outcome.seen, outcome.rows, strict=True):
        assert seen.state == "completed"
        assert seen.billed.input_tokens + seen.billed.cache_read_tokens > 0
        assert _usage(row) == seen.billed
        assert reply.usage == seen.billed
        assert not row["estimated"]
        if outcome.cell.scenario == "refusal":
            assert (row["outcome"], row["charge_uusd"]) == ("filtered", 0)
        else:
            assert row["outcome"] == "completed"
            assert row["charge_uusd"] == price(seen.billed, gateway.rates(outcome.cell.model)) > 0


def _usage(row: Row) -> TokenUsage:
    return TokenUsage(**{name: row[name] for name in TokenUsage.__struct_fields__})


@pytest.mark.parametrize("cell", _REFUSED, ids=_id)
def test_a_vendors_errors_are_the_sdks_exceptions_and_free(
    cell: Cell, outcomes: dict[Cell, Outcome]
) -> None:
    outcome = outcomes[cell]
    driver = DRIVERS[cell.client]
    # The vendor's overload has a status of its own in Anthropic's dialect alone.
    overloaded = 529 if cell.client == "anthropic" else 503
    wanted = [(driver.refused, 400)] + [(driver.failed, s) for s in (503, 503, overloaded)]
    assert len(outcome.answers) == len(wanted) == len(STATUSES)
    for answer, (kind, status) in zip(outcome.answers, wanted, strict=True):
        assert isinstance(answer, Failure)
        assert isinstance(answer.error, kind)
        assert answer.status == status
        assert ("retry-after" in answer.headers) is (status != 400)
    assert [seen.status for seen in outcome.seen] == list(STATUSES)
    assert [(row["outcome"], row["charge_uusd"]) for row in outcome.rows] == [("failed", 0)] * 4
    assert [row["status"] for row in outcome.rows] == [status for _, status in wanted]


@pytest.mark.parametrize("cell", _BROKEN, ids=_id)
def test_a_broken_answer_is_an_exception_and_free(
    cell: Cell, outcomes: dict[Cell, Outcome]
) -> None:
    outcome = outcomes[cell]
    driver = DRIVERS[cell.client]
    [answer], [seen], [row] = outcome.answers, outcome.seen, outcome.rows
    assert isinstance(answer, Failure)
    assert isinstance(answer.error, driver.broken if cell.stream else driver.failed)
    assert (seen.status, seen.state) == (200, "cut")
    assert row["charge_uusd"] == 0
    assert row["outcome"] == ("broke_upstream" if cell.stream else "failed")
