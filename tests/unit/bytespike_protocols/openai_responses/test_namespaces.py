"""Tools in namespaces: one flat name for other vendors, the client's own shape on the way back."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseFunctionToolCall

from bytespike_protocols.codec import Loss, ReplyContext, RouteHints
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.folding import unfold
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Request,
    Response,
    Stop,
    StopReason,
    Tool,
    ToolResult,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.renaming import restored, restoring
from bytespike_protocols.sse import FrameSplitter
from tests.support.responses_corpus import context_for
from tests.support.responses_grammar import check_stream

OTHERS = (Dialect.ANTHROPIC, Dialect.OPENAI_CHAT, Dialect.GEMINI)
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}}
#: A plain function, one of each of two namespaces, and what these could be taken for.
ALIKE = (("find", ""), ("find", "crm"), ("find", "shop"), ("crm__find", ""), ("find", "crm_"))


def function(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "description": f"does {name}"} | {
        "parameters": SCHEMA,
        **fields,
    }


def group(name: str, *tools: dict[str, Any]) -> dict[str, Any]:
    about = f"everything {name}"
    return {"type": "namespace", "name": name, "description": about, "tools": list(tools)}


def call(name: str, namespace: str = "", call_id: str = "call_1") -> dict[str, Any]:
    item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}
    return item | ({"namespace": namespace} if namespace else {})


def result(call_id: str = "call_1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "done"}


def asking(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    said = {"role": "user", "content": "go"}
    return {"model": "m", "max_output_tokens": 1000, "input": [said, *items], **fields}


def decode(body: dict[str, Any]) -> Request:
    return CODEC.decode_request(json.dumps(body).encode(), RouteHints())


def seen_by(vendor: Dialect, body: dict[str, Any]) -> tuple[Request, tuple[tuple[str, str], ...]]:
    """What the vendor reads, and the names to be restored."""
    encoded = CODECS[vendor].encode_request(decode(body), model="gemini-3-pro")
    hints = RouteHints(model="gemini-3-pro")
    return CODECS[vendor].decode_request(encoded.body, hints), encoded.renamed


def offered(request: Request) -> list[str]:
    return [tool.name for tool in request.tools if isinstance(tool, Tool)]


def answered(
    vendor: Dialect, seen: Request, renamed: tuple[tuple[str, str], ...], body: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """The calls of all offered functions as the client gets them, whole and streamed."""
    calls = tuple(
        ToolUse(id=f"call_{i}", name=name, arguments=Json("{}"))
        for i, name in enumerate(offered(seen))
    )
    usage, stop = Usage(input_tokens=1, output_tokens=1), Stop(reason=StopReason.TOOL_USE)
    said = Response(id="x", model="m", blocks=calls, stop=stop, usage=usage)
    codec, context = CODECS[vendor], context_for(decode(body))
    theirs = ReplyContext(
        request=seen, request_id="req_01JCZK3V5Q8M2N4P6R7S9T0V1W", created_s=1, model="m"
    )
    answer = restored(codec.decode_response(codec.encode_response(said, theirs)), renamed)
    whole = json.loads(CODEC.encode_response(answer, context))

    writer, splitter = codec.stream_encoder(theirs), FrameSplitter()
    reader, ours = restoring(codec.stream_decoder(), renamed), CODEC.stream_encoder(context)
    stream = b""
    for event in unfold(said):
        for frame in splitter.feed(writer.feed(event)):
            stream += b"".join(map(ours.feed, reader.feed(frame)))
    stream += b"".join(map(ours.feed, reader.close()))
    check_stream(stream)
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    added = [one["item"] for one in events if one["type"] == "response.output_item.added"]
    final = events[-1]["response"]["output"]
    assert names_in(added) == names_in(final)
    return SdkResponse.model_validate(whole).output, final


def names_in(items: list[Any]) -> list[tuple[str, str]]:
    """Name and namespace of each call."""
    read = [ResponseFunctionToolCall.model_validate(item, from_attributes=True) for item in items]
    return [(item.name, item.namespace or "") for item in read]


@pytest.mark.parametrize("vendor", OTHERS)
def test_a_vendor_sees_one_name_and_the_client_its_own_shape(vendor: Dialect) -> None:
    tools = [function("run"), group("crm", function("find"), function("drop")), function("stop")]
    body = asking(
        call("find", "crm"), result(), tools=tools, tool_choice={"type": "function", "name": "drop"}
    )
    seen, renamed = seen_by(vendor, body)

    assert offered(seen) == ["run", "crm__find", "crm__drop", "stop"]
    assert seen.tool_choice is not None
    assert seen.tool_choice.names == ("crm__drop",)
    blocks = [block for turn in seen.turns for block in turn.blocks]
    assert [block.name for block in blocks if isinstance(block, ToolUse)] == ["crm__find"]
    results = [block for block in blocks if isinstance(block, ToolResult)]
    assert [block.name for block in results] in (["crm__find"], [None])
    abouts = [tool.description for tool in seen.tools if isinstance(tool, Tool)]
    first = "About all tools of crm: everything crm\n\ndoes find"
    assert abouts == ["does run", first, "does drop", "does stop"]

    whole, streamed = answered(vendor, seen, renamed, body)
    meant = [("run", ""), ("find", "crm"), ("drop", "crm"), ("stop", "")]
    assert names_in(whole) == names_in(streamed) == meant


@pytest.mark.parametrize("vendor", OTHERS)
@pytest.mark.parametrize("order", list(permutations(ALIKE, 5))[::17])
def test_functions_of_like_names_stay_apart(
    vendor: Dialect, order: tuple[tuple[str, str], ...]
) -> None:
    tools = [group(within, function(name)) if within else function(name) for name, within in order]
    items = [
        item
        for i, (name, within) in enumerate(order)
        for item in (call(name, within, f"call_{i}"), result(f"call_{i}"))
    ]
    body = asking(*items, tools=tools)
    seen, renamed = seen_by(vendor, body)
    names = offered(seen)
    assert len(set(names)) == len(order)
    blocks = [block for turn in seen.turns for block in turn.blocks]
    assert [block.name for block in blocks if isinstance(block, ToolUse)] == names
    whole, streamed = answered(vendor, seen, renamed, body)
    assert names_in(whole) == names_in(streamed) == list(order)


def test_its_own_vendor_gets_everything_as_it_was() -> None:
    odd = {**group("crm", function("find", defer_loading=True)), "later": [1.0]}
    free = {"type": "custom", "name": "patch", "format": {"type": "text"}}
    typed = {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "namespace": "dev"}
    body = asking(
        call("find", "crm"),
        result(),
        {**typed, "input": "a"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
        call("gone", "away", "call_3"),
        {**result("call_3"), "name": "gone", "namespace": "away"},
        tools=[odd, group("dev", free, function("build")), function("build"), group("crm", free)],
        tool_choice={"type": "function", "name": "find"},
    )
    encoded = CODEC.encode_request(decode(body), model="gpt-5")
    again = json.loads(encoded.body)
    assert {name: again[name] for name in body} == {**body, "model": "gpt-5"}
    assert encoded.losses == ()
    reply = json.loads(
        CODEC.encode_response(
            Response(id="x", model="m", blocks=(), stop=Stop(reason=StopReason.END)),
            context_for(decode(body)),
        )
    )
    assert (reply["tools"], reply["tool_choice"]) == (body["tools"], body["tool_choice"])


@pytest.mark.parametrize(
    ("choice", "names", "written"),
    [
        ({"name": "drop"}, ("crm__drop",), {"name": "drop"}),
        # The shorter name says it as well.
        ({"name": "drop", "namespace": "crm"}, ("crm__drop",), {"name": "drop"}),
        ({"name": "find"}, ("find",), {"name": "find"}),
        (
            {"name": "find", "namespace": "crm"},
            ("crm__find",),
            {"name": "find", "namespace": "crm"},
        ),
        # One of each of two namespaces.
        ({"name": "sell"}, ("sell",), {"name": "sell"}),
        (
            {"name": "sell", "namespace": "shop"},
            ("shop__sell",),
            {"name": "sell", "namespace": "shop"},
        ),
    ],
)
def test_a_choice_needs_its_namespace_where_names_are_alike(
    choice: dict[str, str], names: tuple[str, ...], written: dict[str, str]
) -> None:
    crm = group("crm", function("find"), function("drop"), function("sell"))
    tools = [function("find"), crm, group("shop", function("sell"))]
    one = {"type": "function", **choice}
    for asked in (one, {"type": "allowed_tools", "mode": "required", "tools": [one]}):
        body = asking(tools=tools, tool_choice=asked)
        seen, _ = seen_by(Dialect.OPENAI_CHAT, body)
        assert seen.tool_choice is not None
        assert seen.tool_choice.names == names
        own = json.loads(CODEC.encode_request(decode(body), model="gpt-5").body)["tool_choice"]
        assert own.get("tools", [own]) == [{"type": "function", **written}]


def test_a_free_form_tool_in_a_namespace_stays_one() -> None:
    free = {"type": "custom", "name": "patch"}
    body = asking(tools=[group("dev", free), function("patch")])
    asked = decode(body)
    encoded = CODECS[Dialect.ANTHROPIC].encode_request(asked, model="claude-sonnet-4-6")
    assert Loss("tools[].tools[].type", "emulated") in encoded.losses
    blocks = (ToolUse(id="c", name="dev__patch", arguments=Json('{"input":"a"}')),)
    said = Response(id="x", model="m", blocks=blocks, stop=Stop(reason=StopReason.TOOL_USE))
    answer = restored(said, encoded.renamed)
    item = json.loads(CODEC.encode_response(answer, context_for(asked)))["output"][0]
    assert (item["type"], item["name"], item["namespace"]) == ("custom_tool_call", "patch", "dev")
    assert item["input"] == "a"


def test_a_namespace_nobody_defined_is_the_vendors_own() -> None:
    body = asking(call("find", "find"), result(), tools=[function("find")])
    encoded = CODECS[Dialect.OPENAI_CHAT].encode_request(decode(body), model="m")
    assert encoded.renamed == ()
    assert encoded.losses == (Loss("input[].namespace"),)
    own = json.loads(CODEC.encode_request(decode(body), model="gpt-5").body)
    assert own["input"][1] == call("find", "find")


@pytest.mark.parametrize("inside", [[], [{"type": "web_search"}], [group("in", function("f"))]])
def test_a_namespace_of_anything_but_functions_is_its_own_vendors(inside: list[Any]) -> None:
    body = asking(tools=[group("crm", function("f")), group("ns", *inside)])
    with pytest.raises(Unrepresentable) as refusal:
        CODECS[Dialect.GEMINI].encode_request(decode(body), model="gemini-3-pro")
    assert refusal.value.path == "tools[]"
    own = json.loads(CODEC.encode_request(decode(body), model="gpt-5").body)
    assert own["tools"] == body["tools"]


def test_losses_are_told_where_the_client_finds_them() -> None:
    tools = [group("crm", function("f", strict=True, defer_loading=True)), function("g")]
    encoded = CODECS[Dialect.GEMINI].encode_request(decode(asking(tools=tools)), model="gemini-3")
    assert {loss.path for loss in encoded.losses} == {
        "tools[].tools[].strict",
        "tools[].tools[].defer_loading",
    }


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tools": [function("a\x1fb")]}, "tools[0].name"),
        ({"tools": [group("a\x1fb", function("c"))]}, "tools[0].tools[0].namespace"),
        ({"tools": [group("", function("c"))]}, "tools[0].name"),
        ({"tools": [group("a", function("b\x1fc"))]}, "tools[0].tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "a\x1fb"}}, "tool_choice.name"),
        ({"input": [call("f", "a\x1fb")]}, "input[0].namespace"),
    ],
)
def test_no_name_can_be_taken_for_two(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadClientMessage) as complaint:
        decode({"model": "m", "input": "q"} | fields)
    assert complaint.value.path == path
