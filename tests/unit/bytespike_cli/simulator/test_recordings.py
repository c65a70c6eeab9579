"""Requests that the vendors took, by recording, the simulator takes too: its refusals are no more
than theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bytespike_cli.simulator.dialects.gemini.history import check_history
from bytespike_cli.simulator.dialects.gemini.requests import (
    Model,
    read_count_request,
    read_generate_request,
)
from bytespike_cli.simulator.dialects.openai.chat_request import read_chat_request
from bytespike_cli.simulator.dialects.openai.responses_request import read_responses_request
from bytespike_cli.simulator.issued import Issued, opaque_strings
from bytespike_cli.simulator.reply import VendorError

CORPUS = Path(__file__).parents[4].parent / "shared" / "corpus"

#: What the simulator does not keep: answers, conversations, caches.
STATE = re.compile(
    r"Previous response|Conversation with id|CachedContent|Background mode|Prompt with id"
)
#: One takes its model from a stored prompt, the other is another host's.
ODD = {"oar-ad435fdfb6-00", "oar-2dfbc6e206-00"}


def taken(folder: str) -> Iterator[tuple[str, str, bytes]]:
    """Id, path and body of each request that its own vendor answered with 200."""
    for path in sorted((CORPUS / folder).glob("*.json")):
        case = json.loads(path.read_text())
        native = not any(tag.startswith("upstream:") for tag in case["tags"])
        if native and case["request"] and case["response"]["status"] == 200:
            yield case["id"], case["request"]["path"], json.dumps(case["request"]["body"]).encode()


def refusals(folder: str, read: Callable[[str, bytes], object]) -> dict[str, str]:
    found, checked = {}, 0
    for id_, path, body in taken(folder):
        try:
            read(path, body)
        except VendorError as error:
            if not STATE.match(error.message):
                found[id_] = error.message
        checked += 1
    assert checked > 80
    return found


def read_gemini(path: str, body: bytes) -> None:
    found = re.search(r"models/([^:]+):(\w+)", path)
    assert found is not None
    model, issued = Model(found[1]), Issued()
    counting = found[2] == "countTokens"
    request: dict[str, Any] = (read_count_request if counting else read_generate_request)(
        body, model
    )
    for signature in opaque_strings(request):
        issued.add("gemini", signature)
    check_history(request, model, "gemini", issued)


needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not here")


@needs_corpus
def test_chat_requests() -> None:
    assert refusals("openai-chat", lambda _, body: read_chat_request(body)) == {}


@needs_corpus
def test_responses_requests() -> None:
    found = refusals("openai-responses", lambda _, body: read_responses_request(body))
    assert found.keys() - ODD == set()


@needs_corpus
def test_gemini_requests() -> None:
    assert refusals("gemini", read_gemini) == {}
