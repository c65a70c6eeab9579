"""Tool names a vendor would refuse: changed alike everywhere on the way to it, and changed back."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.anthropic.identity import NAMES as ANTHROPIC
from bytespike_protocols.codec import ReplyContext, RouteHints
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.events import Event, Opened
from bytespike_protocols.folding import unfold
from bytespike_protocols.gemini.names import NAMES as GEMINI
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Request,
    Response,
    Stop,
    StopReason,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    Usage,
)
from bytespike_protocols.openai_chat.names import NAMES as CHAT
from bytespike_protocols.openai_responses.names import NAMES as RESPONSES
from bytespike_protocols.renaming import NameRule, rename_tools, restored, restoring
from bytespike_protocols.sse import FrameSplitter

RULES = {rule.dialect: rule for rule in (ANTHROPIC, CHAT, RESPONSES, GEMINI)}
#: Each is refused by at least one vendor; the last two are what others could be mistaken for.
ODD = ("files.read", "files/read", "größe", "a" * 100, "b" * 200, "1st", "", "files_read", "a" * 64)
SCHEMA = Json('{"type":"object","properties":{"x":{"type":"string"}}}')


def asked(dialect: Dialect, names: tuple[str, ...] = ODD) -> Request:
    calls = tuple(
        ToolUse(id=f"call_{i}", name=n, arguments=Json("{}")) for i, n in enumerate(names)
    )
    results = tuple(
        ToolResult(id=f"call_{i}", name=n, content=(Text(text="done"),))
        for i, n in enumerate(names)
    )
    return Request(
        dialect=dialect,
        model="m",
        max_output_tokens=100,
        tools=tuple(Tool(name=name, parameters=SCHEMA) for name in names),
        tool_choice=ToolChoice(mode="named", names=names[:1]),
        turns=(
            Turn(role="user", blocks=(Text(text="go"),)),
            Turn(role="assistant", blocks=calls),
            Turn(role="user", blocks=results),
        ),
    )


def called(names: tuple[str, ...]) -> Response:
    return Response(
        id="x",
        model="m",
        blocks=tuple(
            ToolUse(id=f"call_{i}", name=name, arguments=Json("{}")) for i, name in enumerate(names)
        ),
        stop=Stop(reason=StopReason.TOOL_USE),
        usage=Usage(input_tokens=1, output_tokens=1),
    )


def names_in(response: Response) -> tuple[str, ...]:
    return tuple(block.name for block in response.blocks if isinstance(block, ToolUse))


@pytest.mark.parametrize(("client", "vendor"), list(permutations(Dialect, 2)))
def test_names_are_changed_on_the_way_and_changed_back(client: Dialect, vendor: Dialect) -> None:
    codec, rule = CODECS[vendor], RULES[vendor]
    encoded = codec.encode_request(asked(client), model="gemini-3-pro")
    seen = codec.decode_request(encoded.body, RouteHints(model="gemini-3-pro"))

    sent = tuple(tool.name for tool in seen.tools if isinstance(tool, Tool))
    assert all(rule.takes(name) for name in sent)
    assert len(set(sent)) == len(ODD)
    client_names = dict(encoded.renamed)
    assert tuple(client_names.get(name, name) for name in sent) == ODD
    # The same everywhere, and only where it must be.
    history = [block for turn in seen.turns for block in turn.blocks]
    assert tuple(block.name for block in history if isinstance(block, ToolUse)) == sent
    assert seen.tool_choice is not None
    assert seen.tool_choice.names == sent[:1]
    assert set(client_names.values()) == {name for name in ODD if not rule.takes(name)}

    context = ReplyContext(
        request=seen, request_id="req_01JCZK3V5Q8M2N4P6R7S9T0V1W", created_s=1, model="m"
    )
    whole = codec.decode_response(codec.encode_response(called(sent), context))
    assert names_in(restored(whole, encoded.renamed)) == ODD

    encoder, splitter = codec.stream_encoder(context), FrameSplitter()
    decoder = restoring(codec.stream_decoder(), encoded.renamed)
    events: list[Event] = []
    for event in unfold(called(sent)):
        for frame in splitter.feed(encoder.feed(event)):
            events += decoder.feed(frame)
    events += decoder.close()
    opened = [event.block for event in events if isinstance(event, Opened)]
    assert tuple(block.name for block in opened if isinstance(block, ToolUse)) == ODD


@pytest.mark.parametrize("dialect", Dialect)
def test_what_the_client_said_in_the_vendors_own_dialect_stays(dialect: Dialect) -> None:
    request = asked(dialect)
    same, renamed = rename_tools(request, RULES[dialect])
    assert same is request
    assert renamed == ()


@pytest.mark.parametrize("rule", list(RULES.values()), ids=lambda rule: rule.dialect.value)
def test_good_names_cost_nothing(rule: NameRule) -> None:
    client = Dialect.GEMINI if rule.dialect is not Dialect.GEMINI else Dialect.ANTHROPIC
    request = asked(client, ("read", "Write_2", "a-b"))
    same, renamed = rename_tools(request, rule)
    assert same is request
    assert renamed == ()
    decoder, answer = CODECS[rule.dialect].stream_decoder(), called(("read",))
    assert restoring(decoder, renamed) is decoder
    assert restored(answer, renamed) is answer


@pytest.mark.parametrize("rule", list(RULES.values()), ids=lambda rule: rule.dialect.value)
@given(names=st.lists(st.text("ab_-.:1 é", max_size=4) | st.text(max_size=200), unique=True))
def test_names_stay_apart(rule: NameRule, names: list[str]) -> None:
    client = Dialect.GEMINI if rule.dialect is not Dialect.GEMINI else Dialect.ANTHROPIC
    # What a rewritten name could be mistaken for is there too.
    every = tuple(dict.fromkeys([*names, *(rule.rewrite(name) for name in names[:2])]))
    request = Request(
        dialect=client, model="m", turns=(), tools=tuple(Tool(name=name) for name in every)
    )
    renamed, table = rename_tools(request, rule)
    safe = [tool.name for tool in renamed.tools if isinstance(tool, Tool)]
    assert len(set(safe)) == len(every)
    assert all(rule.takes(name) for name in safe)
    assert tuple(dict(table).get(name, name) for name in safe) == every
    assert rename_tools(request, rule) == (renamed, table)
