"""A request for every row of the table of Anthropic's clients."""

from __future__ import annotations

from typing import Any

from tests.support.loss_policy.sample import Sample

__all__ = ["SAMPLES"]

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "string"}},
    "required": ["x"],
    "additionalProperties": False,
}
TOOL = {"name": "f", "description": "does f", "input_schema": SCHEMA}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": "1"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
LONG = ["a", "b", "c", "d", "e", "f"]


def said(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def asking(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 4000, "messages": list(messages), **fields}


PLAIN = asking(said("user", text("hi")))
TALK = asking(said("user", text("hi")), said("assistant", text("yes")), said("user", text("go")))
IMAGE = asking(said("user", text("look"), {"type": "image", "source": PNG}))
DOCUMENT = asking(said("user", text("read"), {"type": "document", "source": PDF}))
TOOLS = asking(said("user", text("hi")), tools=[TOOL])
LOOP = asking(said("user", text("hi")), said("assistant", CALL), said("user", RESULT), tools=[TOOL])
AUTO = {**TOOLS, "tool_choice": {"type": "auto"}}
WITH_ADAPTIVE = {**PLAIN, "thinking": {"type": "adaptive"}}
EPHEMERAL = {"type": "ephemeral", "ttl": "5m"}

SAMPLES: dict[tuple[str, str], Sample] = {
    ("model", ""): Sample("m", PLAIN, other="n"),
    ("messages", ""): Sample(TALK["messages"], PLAIN, other=PLAIN["messages"]),
    ("messages[].role", "user, assistant"): Sample(
        "assistant", TALK, at="messages[1].role", other="user"
    ),
    ("messages[].role", "system"): Sample("system", TALK, at="messages[2].role", other="user"),
    ("messages[].content", ""): Sample("words", PLAIN, other="others"),
    ("messages[].content[].text", ""): Sample("words", PLAIN, other="others"),
    ("messages[].content[].citations", "of a text"): Sample(
        [{"type": "char_location", "cited_text": "x", "document_index": 0}], PLAIN
    ),
    ("messages[].content[].cache_control", ""): Sample(EPHEMERAL, PLAIN),
    ("messages[].content[].source", "image: base64"): Sample(
        PNG, IMAGE, other={**PNG, "data": "iVBORw0KGgp="}
    ),
    ("messages[].content[].source", "image: url"): Sample(
        {"type": "url", "url": "https://e.org/a.png"}, IMAGE, other=PNG
    ),
    ("messages[].content[].source", "image: file"): Sample(
        {"type": "file", "file_id": "file_1"}, IMAGE, other=PNG
    ),
    ("messages[].content[].transformations", ""): Sample([{"type": "resize"}], IMAGE),
    ("messages[].content[].source", "document: base64"): Sample(
        PDF, DOCUMENT, other={**PDF, "data": "JVBERi1="}
    ),
    ("messages[].content[].source", "document: text"): Sample(
        {"type": "text", "media_type": "text/plain", "data": "long text"}, DOCUMENT, other=PDF
    ),
    ("messages[].content[].source", "document: content"): Sample(
        {"type": "content", "content": [text("inside")]}, DOCUMENT, other=PDF
    ),
    ("messages[].content[].source", "document: url"): Sample(
        {"type": "url", "url": "https://e.org/a.pdf"}, DOCUMENT, other=PDF
    ),
    ("messages[].content[].source", "document: file"): Sample(
        {"type": "file", "file_id": "file_1"}, DOCUMENT, other=PDF
    ),
    ("messages[].content[].title", ""): Sample("a.pdf", DOCUMENT),
    ("messages[].content[].context", ""): Sample("from the archive", DOCUMENT),
    ("messages[].content[].citations", "of a document"): Sample({"enabled": True}, DOCUMENT),
    ("messages[].content[].id", ""): Sample(
        [
            said("user", text("hi")),
            said("assistant", {**CALL, "id": "toolu_2"}),
            said("user", {**RESULT, "tool_use_id": "toolu_2"}),
        ],
        LOOP,
        at="messages",
        other=LOOP["messages"],
    ),
    ("messages[].content[].id", "without a result"): Sample(
        [said("assistant", CALL), said("user", text("never mind"))],
        LOOP,
        at="messages",
        other=LOOP["messages"],
    ),
    ("messages[].content[].name", ""): Sample(
        "g", LOOP, at="messages[1].content[0].name", other="f"
    ),
    ("messages[].content[].input", ""): Sample(
        {"x": "2"}, LOOP, at="messages[1].content[0].input", other={"x": "1"}
    ),
    ("messages[].content[].caller", ""): Sample(
        {"type": "direct"}, LOOP, at="messages[1].content[0].caller"
    ),
    ("messages[].content[].toolset_name", ""): Sample("t", LOOP),
    ("messages[].content[].tool_use_id", "without a call"): Sample(
        [said("user", RESULT)], LOOP, at="messages", other=LOOP["messages"]
    ),
    ("messages[].content[].content", "text"): Sample("42", LOOP, other="43"),
    ("messages[].content[].content[]", "image"): Sample(
        {"type": "image", "source": PNG},
        asking(
            said("user", text("hi")),
            said("assistant", CALL),
            said("user", {**RESULT, "content": [text("done")]}),
            tools=[TOOL],
        ),
    ),
    ("messages[].content[].content[]", "search_result, tool_reference"): Sample(
        {"type": "tool_reference", "tool_name": "f"},
        asking(
            said("user", text("hi")),
            said("assistant", CALL),
            said("user", {**RESULT, "content": [text("done")]}),
            tools=[TOOL],
        ),
    ),
    ("messages[].content[].is_error", ""): Sample(True, LOOP),
    ("messages[].content[].thinking", ""): Sample(
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        TALK,
        at="messages[1].content[]",
    ),
    ("messages[].content[].signature", "Anthropic's own"): Sample(
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        TALK,
        at="messages[1].content[]",
    ),
    ("messages[].content[].data", ""): Sample(
        {"type": "redacted_thinking", "data": "c2ln"}, TALK, at="messages[1].content[]"
    ),
    ("messages[].content[]", "blocks of server tools, search_result"): Sample(
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, PLAIN
    ),
    ("system", ""): Sample("be kind", PLAIN),
    ("system[].text", ""): Sample("be kind", {**PLAIN, "system": [text("")]}, other="be good"),
    ("system[].cache_control", ""): Sample(EPHEMERAL, {**PLAIN, "system": [text("be kind")]}),
    ("tools[].name", ""): Sample("g", TOOLS, other="f"),
    ("tools[].description", ""): Sample("words", TOOLS),
    ("tools[].input_schema", ""): Sample(SCHEMA, TOOLS, other={"type": "object"}),
    ("tools[].strict", "closed schema"): Sample(True, TOOLS),
    ("tools[].strict", "open schema, optional properties"): Sample(
        True, {**PLAIN, "tools": [{**TOOL, "input_schema": {**SCHEMA, "required": []}}]}
    ),
    ("tools[].cache_control", ""): Sample(EPHEMERAL, TOOLS),
    ("tools[].type", "custom"): Sample("custom", TOOLS),
    ("tools[].allowed_callers", ""): Sample(["direct"], TOOLS),
    ("tools[].defer_loading", ""): Sample(True, TOOLS),
    ("tools[].eager_input_streaming", ""): Sample(True, TOOLS),
    ("tools[].input_examples", ""): Sample([{"x": "1"}], TOOLS),
    ("tools[]", "web_search_*"): Sample(
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}, TOOLS
    ),
    ("tools[]", "other server tools"): Sample({"type": "bash_20250124", "name": "bash"}, TOOLS),
    ("tool_choice", "auto, any, none"): Sample({"type": "any"}, TOOLS),
    ("tool_choice", "tool"): Sample({"type": "tool", "name": "f"}, TOOLS),
    ("tool_choice.disable_parallel_tool_use", ""): Sample(True, AUTO),
    ("max_tokens", ""): Sample(4000, PLAIN, other=5000),
    ("max_tokens", "below 16"): Sample(5, PLAIN, other=16),
    ("stop_sequences", "up to 4"): Sample(["END"], PLAIN),
    ("stop_sequences", "more than 5"): Sample(LONG, PLAIN),
    ("temperature", ""): Sample(0.5, PLAIN),
    ("top_p", ""): Sample(0.5, PLAIN),
    ("top_k", ""): Sample(40, PLAIN),
    ("thinking.budget_tokens", ""): Sample(
        {"type": "enabled", "budget_tokens": 2048}, PLAIN, at="thinking"
    ),
    ("thinking.type", "adaptive"): Sample("adaptive", PLAIN),
    ("thinking.type", "disabled"): Sample("disabled", PLAIN),
    ("thinking", "between_tools and newer types"): Sample({"type": "between_tools"}, PLAIN),
    ("thinking.display", "summarized"): Sample("summarized", WITH_ADAPTIVE),
    ("thinking.display", "omitted"): Sample("omitted", WITH_ADAPTIVE),
    ("output_config.effort", "low, medium, high"): Sample("low", PLAIN),
    ("output_config.effort", "xhigh, max"): Sample("max", PLAIN),
    ("output_config.format", ""): Sample({"type": "json_schema", "schema": SCHEMA}, PLAIN),
    ("output_format", ""): Sample({"type": "json_schema", "schema": SCHEMA}, PLAIN),
    ("cache_control", ""): Sample(EPHEMERAL, PLAIN),
    ("metadata.user_id", "up to 64 characters"): Sample("u1", PLAIN),
    ("metadata.user_id", "longer"): Sample("u" * 65, PLAIN),
    ("service_tier", "auto"): Sample("auto", PLAIN),
    ("service_tier", "standard_only"): Sample("standard_only", PLAIN),
    ("stream", ""): Sample(True, PLAIN),
    ("speed", "standard"): Sample("standard", PLAIN),
    ("speed", "fast"): Sample("fast", PLAIN),
    ("inference_geo", ""): Sample("eu", PLAIN),
    ("container", ""): Sample("container_1", PLAIN),
    ("context_management", ""): Sample({"edits": []}, PLAIN),
    ("diagnostics", ""): Sample({"previous_message_id": "msg_1"}, PLAIN),
    ("fallbacks", ""): Sample("default", PLAIN),
    ("fallback_credit_token", ""): Sample("t", PLAIN),
    ("billing_policy", ""): Sample({"type": "billing_policy", "bill_to": "self"}, PLAIN),
    ("mcp_servers", ""): Sample([{"type": "url", "url": "https://e.org", "name": "n"}], PLAIN),
    ("compaction", ""): Sample({"type": "auto"}, PLAIN),
    ("thread", ""): Sample({"type": "create"}, PLAIN),
}
