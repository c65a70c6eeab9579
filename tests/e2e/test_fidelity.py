"""Byte for byte: what the client sent is what the vendor got, and the other way round.

Every recorded exchange goes through the whole gateway as a scripted reply, once in natural pieces
and once cut up; so do a few goldens of our own, which are there when the recordings are not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Answer, Customer, Gateway, eventually
from tests.support.simulator import Seen

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "anthropic"
GOLDENS = ROOT / "tests" / "contract" / "anthropic"
CASES = [*sorted(GOLDENS.glob("*.json")), *sorted(CORPUS.glob("*.json"))]

#: The vendor's name for the model behind all recorded names.
VENDOR_NAME = "claude-as-the-vendor-calls-it"
#: Single bytes up to this size, pieces of a prime number of bytes above (a chunk each, so slow).
SINGLE_BYTES_UP_TO = 16_384
#: Statuses of the vendor that reach the client as they are.
PASSED_ON = {200, 400, 404, 413}
DEFAULT_REQUEST: dict[str, Any] = {
    "path": "/v1/messages",
    "headers": {"anthropic-version": "2023-06-01"},
    "body": {
        "model": "claude-sonnet-4-6",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "The question was not recorded. ¿Sí?"}],
    },
}


class Case:
    """One exchange, ready to be replayed."""

    def __init__(self, path: Path) -> None:
        recorded: dict[str, Any] = json.loads(path.read_text())
        self.id = str(recorded["id"])
        self.request: dict[str, Any] = recorded["request"] or DEFAULT_REQUEST
        self.response: dict[str, Any] = recorded["response"]
        self.status = int(self.response["status"])
        self.streamed = "sse" in self.response
        if recorded["request"] is None and self.streamed:
            self.request = {**self.request, "body": {**self.request["body"], "stream": True}}
        self.model = str(self.request["body"]["model"])
        if self.status not in PASSED_ON:
            # Such an answer counts against its channel, so it gets one that nobody else needs.
            self.model = "sim-fails"
            self.request["body"] = {**self.request["body"], "model": self.model}

    @property
    def cut_short(self) -> bool:
        """Whether the recorded stream has neither its last event nor an error instead."""
        ends = ("event: message_stop", "event: error")
        return self.streamed and not any(end in self.response["sse"] for end in ends)

    def request_body(self) -> bytes:
        """Spelled as no encoder of ours would: odd spacing, raw UTF-8, escapes, key order kept."""
        body = json.dumps(self.request["body"], ensure_ascii=False, separators=(" ,", " :  "))
        return body.replace("/", "\\/").encode()

    def answer_body(self) -> bytes:
        if self.streamed:
            return str(self.response["sse"]).encode()
        return json.dumps(self.response["body"], ensure_ascii=False, indent=1).encode()

    def script(self, faults: str) -> dict[str, Any]:
        text = self.answer_body().decode()
        kind = "sse" if self.streamed else "text"
        headers = {k: v for k, v in self.response["headers"].items() if k != "retry-after"}
        return {kind: text, "status": self.status, "headers": headers, "faults": faults}


def _ids(path: Path) -> str:
    return path.stem


@pytest.fixture(scope="module")
async def reader(shared_gateway: Gateway) -> Customer:
    return await shared_gateway.customer(usd="10000")


async def _replay(gateway: Gateway, reader: Customer, case: Case, faults: str) -> Answer:
    await gateway.simulator.script(**case.script(faults))
    sent = case.request["headers"]
    names = ("anthropic-version", "anthropic-beta", "accept")
    headers = {name.replace("-", "_"): sent[name] for name in names if name in sent}
    return await reader.post(case.request_body(), path=case.request["path"], **headers)


async def _replay_to_vendor(gateway: Gateway, reader: Customer, case: Case, faults: str) -> Answer:
    """Replay until the vendor has seen it: the case before may have got the channel benched for a
    moment, and then this one is answered without asking the vendor.
    """
    answers: list[Answer] = []

    async def seen() -> bool:
        await gateway.simulator.reset()
        answers[:] = [await _replay(gateway, reader, case, faults)]
        return bool(await gateway.simulator.requests(limit=1))

    await eventually(seen)
    return answers[0]


def _check_upstream(case: Case, seen: Seen) -> None:
    """Everything but the model's name is the client's very bytes."""
    same = case.model in {"claude-sonnet-4-6", "sim-fails"}
    vendor_name = case.model if same else VENDOR_NAME
    ours, theirs = (f'"model" :  "{name}"'.encode() for name in (case.model, vendor_name))
    assert case.request_body().count(ours) == 1
    assert seen.body == case.request_body().replace(ours, theirs)
    assert seen.path == case.request["path"]


def _check_client(case: Case, answer: Answer) -> None:
    sent = case.answer_body()
    if case.status not in PASSED_ON:
        assert answer.status in {503, 529}
        assert case.id not in answer.body.decode()
        return
    assert answer.status == case.status
    if case.cut_short:
        # What the vendor sent arrives untouched, and the break is never passed off as an end.
        assert answer.body.startswith(sent)
        told = answer.body[len(sent) :]
        assert told.startswith(b"event: error\ndata: ")
        assert told.count(b"event: ") == 1
    else:
        assert answer.body == sent
        assert answer.complete


@pytest.mark.parametrize("path", CASES, ids=_ids)
@pytest.mark.parametrize("cut_up", [False, True], ids=["whole", "cut-up"])
async def test_both_directions_are_the_same_bytes(
    gateway: Gateway, reader: Customer, path: Path, cut_up: bool
) -> None:
    case = Case(path)
    size = 1 if len(case.answer_body()) <= SINGLE_BYTES_UP_TO else 13
    answer = await _replay_to_vendor(gateway, reader, case, f"split={size}" if cut_up else "")
    seen = await gateway.simulator.last()
    _check_upstream(case, seen)
    _check_client(case, answer)


def test_there_are_goldens() -> None:
    assert len(list(GOLDENS.glob("*.json"))) >= 4
