"""Whatever order another dialect allows, the messages we write keep this one's."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.ir import (
    Dialect,
    Image,
    Json,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    Url,
)
from bytespike_protocols.openai_chat import CODEC

IDS = st.sampled_from(["a", "b", "x" * 41, "y" * 41, "z.1"])
WORDS = st.builds(Text, text=st.sampled_from(["", " ", "one", "two"]))
PICTURES = st.just(Image(source=Url(url="https://x.test/a.png")))
NAMES = st.sampled_from(["f", "f.g", "f_g"])
CALLS = st.builds(ToolUse, id=IDS, name=NAMES, arguments=st.just(Json("{}")))
RESULTS = st.builds(
    ToolResult,
    id=IDS,
    content=st.lists(WORDS | PICTURES, max_size=2).map(tuple),
    is_error=st.booleans(),
)


def once(blocks: list[Any]) -> tuple[Any, ...]:
    """One call and one result per id, which every dialect demands; results first."""
    kept: dict[object, Any] = {}
    for number, block in enumerate(blocks):
        named = isinstance(block, ToolUse | ToolResult)
        kept.setdefault((type(block), block.id) if named else number, block)
    return tuple(sorted(kept.values(), key=lambda block: not isinstance(block, ToolResult)))


USERS = st.lists(WORDS | PICTURES | RESULTS, min_size=1, max_size=4).map(
    lambda blocks: Turn(role="user", blocks=once(blocks))
)
MODELS = st.lists(WORDS | CALLS | st.builds(Thinking, text=st.just("hm")), max_size=4).map(
    lambda blocks: Turn(role="assistant", blocks=once(blocks))
)
SYSTEMS = WORDS.map(lambda text: Turn(role="system", blocks=(text,)))


@given(
    turns=st.lists(USERS | MODELS | SYSTEMS, max_size=7),
    dialect=st.sampled_from([Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.OPENAI_RESPONSES]),
)
def test_every_call_is_answered_at_once_and_nothing_else_is(
    turns: list[Turn], dialect: Dialect
) -> None:
    request = Request(dialect=dialect, model="m", turns=tuple(turns))
    encoded = CODEC.encode_request(request, model="m")
    CODEC.decode_request(encoded.body, RouteHints())
    messages = json.loads(encoded.body)["messages"]
    # Only a question that has nobody's words may be empty.
    wordless = all(message["role"] == "system" for message in messages[:-1])
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            assert isinstance(message["content"], str | list)
            assert "image_url" not in json.dumps(message)
            continue
        assert not waiting
        calls = message.get("tool_calls", [])
        waiting = {call["id"] for call in calls}
        assert all(len(call["id"]) <= 40 for call in calls)
        assert message["content"] or calls or message["role"] == "assistant" or wordless
    assert not waiting
    # No picture is lost on the way.
    given_count = sum(json.dumps(_plain(turn)).count("https://x.test/a.png") for turn in turns)
    assert json.dumps(messages).count("https://x.test/a.png") == given_count


def _plain(turn: Turn) -> Any:
    return [repr(block) for block in turn.blocks]
