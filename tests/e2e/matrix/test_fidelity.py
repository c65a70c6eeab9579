"""Byte for byte where both sides speak the same: every recorded exchange of Chat, Responses and
Gemini that succeeded, once in natural pieces and once cut up. Anthropic's have a test of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.gateway import Customer, Gateway

ROOT = Path(__file__).parents[3]
CORPUS = ROOT.parent / "shared" / "corpus"
GOLDENS = ROOT / "tests" / "contract"
#: Dialect -> the folder of its recordings, the vendor's name of the model behind all of them.
DIALECTS = {
    "openai_chat": ("openai-chat", "gpt-4o"),
    "openai_responses": ("openai-responses", "gpt-4o"),
    "gemini": ("gemini", "gemini-2.5-flash"),
}
PATHS = {"openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses"}
#: What is refused or left out on purpose, because another vendor's account or thoughts are meant.
NOT_RELAYED = ("previous_response_id", "conversation", "background")
THOUGHTS = ("reasoning_content", "reasoning_details")
SINGLE_BYTES_UP_TO = 4_096


class Case(NamedTuple):
    """One exchange: where it is asked, and both bodies as they are sent here."""

    id: str
    dialect: str
    path: str
    body: bytes
    answer: bytes
    streamed: bool


def _spelled(body: dict[str, Any]) -> bytes:
    """As no encoder of ours would: odd spacing, raw UTF-8, escapes, key order kept."""
    text = json.dumps(body, ensure_ascii=False, separators=(" ,", " :  "))
    return text.replace("/", "\\/").encode()


def _case(dialect: str, file: Path) -> Case | None:
    recorded = json.loads(file.read_text())
    request, response = recorded["request"], recorded["response"]
    if request is None or response["status"] != 200 or not isinstance(request["body"], dict):
        return None
    body = dict(request["body"])
    slug = f"via-{dialect.replace('_', '-')}"
    if dialect == "gemini":
        verb = request["path"].rpartition(":")[2]
        if not verb.startswith(("generateContent", "streamGenerateContent")):
            return None
        path = f"/v1beta/models/{slug}:{verb}"
    else:
        path, body["model"] = PATHS[dialect], slug
    if any(body.get(name) for name in NOT_RELAYED) or any(w in json.dumps(body) for w in THOUGHTS):
        return None
    # A Chat stream that does not ask for its usage is made to: see openai_chat.stream_usage.
    asks = (body.get("stream_options") or {}).get("include_usage")
    if dialect == "openai_chat" and body.get("stream") and not asks:
        return None
    streamed = "sse" in response
    if streamed and response["sse"].startswith("event: error"):
        return None  # a failure before the first byte: the next channel is tried instead
    answer = response["sse"] if streamed else json.dumps(response["body"], ensure_ascii=False)
    return Case(file.stem, dialect, path, _spelled(body), answer.encode(), streamed)


CASES = [
    case
    for dialect, (folder, _) in DIALECTS.items()
    for file in [*(GOLDENS / dialect).glob("*.json"), *sorted((CORPUS / folder).glob("*.json"))]
    if (case := _case(dialect, file)) is not None
]


@pytest.fixture(scope="module")
async def reader(shared_gateway: Gateway) -> Customer:
    return await shared_gateway.customer(usd="10000")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("cut_up", [False, True], ids=["whole", "cut-up"])
async def test_both_directions_are_the_same_bytes(
    shared_gateway: Gateway, reader: Customer, case: Case, cut_up: bool
) -> None:
    simulator = shared_gateway.simulator
    await simulator.reset()
    size = 1 if len(case.answer) <= SINGLE_BYTES_UP_TO else 61
    kind = "sse" if case.streamed else "text"
    faults = f"split={size}" if cut_up else ""
    await simulator.script(**{kind: case.answer.decode()}, faults=faults)
    answer = await reader.post(case.body, path=case.path)
    assert answer.status == 200, answer.body
    seen = await simulator.last()
    slug = f"via-{case.dialect.replace('_', '-')}"
    vendor_name = DIALECTS[case.dialect][1]
    ours, theirs = (f'"model" :  "{name}"'.encode() for name in (slug, vendor_name))
    assert seen.body == case.body.replace(ours, theirs)
    assert answer.body == case.answer
    assert answer.complete


def test_there_are_goldens() -> None:
    assert {case.dialect for case in CASES} == set(DIALECTS)
