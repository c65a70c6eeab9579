"""The grammar checker itself: recorded streams pass, each broken rule is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.anthropic_grammar import GrammarError, check_stream

CORPUS = Path(__file__).parents[4].parent / "shared" / "corpus" / "anthropic"
#: Two messages glued into one stream by the fixture's authors.
COMPOSED = {"ant-db086e236e-00"}

START: dict[str, Any] = {
    "type": "message_start",
    "message": {"content": [], "stop_reason": None, "usage": {"input_tokens": 1}},
}
OPEN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
CLOSE = {"type": "content_block_stop", "index": 0}
LAST = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
STOP = {"type": "message_stop"}
GOOD: list[dict[str, Any]] = [START, OPEN, DELTA, CLOSE, LAST, STOP]


def stream(events: list[dict[str, Any]]) -> str:
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not here")
def test_every_recorded_stream_passes() -> None:
    checked = 0
    for path in sorted(CORPUS.glob("*.json")):
        case = json.loads(path.read_text())
        if "sse" not in case["response"] or case["id"] in COMPOSED:
            continue
        tags = set(case["tags"])
        end = "truncated" if "stream-cut-short" in tags else "stop"
        end = "error" if "mid-stream-error" in tags else end
        assert check_stream(case["response"]["sse"]).end == end, case["id"]
        checked += 1
    assert checked > 80


def test_a_good_stream_is_put_together() -> None:
    checked = check_stream(stream(GOOD))
    assert (checked.end, checked.stop_reason) == ("stop", "end_turn")
    assert checked.blocks == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize(
    "events",
    [
        GOOD[1:],
        [START, *GOOD],
        [START, DELTA],
        [START, OPEN, OPEN],
        [START, OPEN, {**DELTA, "index": 1}],
        [START, OPEN, {**DELTA, "delta": {"type": "input_json_delta", "partial_json": ""}}],
        [START, OPEN, LAST],
        [START, CLOSE],
        [START, STOP],
        [*GOOD, DELTA],
        [START, {"type": "surprise"}],
    ],
)
def test_a_broken_order_is_refused(events: list[dict[str, Any]]) -> None:
    with pytest.raises(GrammarError, match="event "):
        check_stream(stream(events))
