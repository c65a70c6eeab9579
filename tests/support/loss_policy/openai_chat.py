"""A request for every row of the table of Chat Completions' clients."""

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
OPEN = {"type": "object", "properties": {"x": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "does f", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":"1"}'}}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
FORMAT = {"name": "answer", "schema": SCHEMA}
LONG = ["a", "b", "c", "d", "e", "f"]


def said(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def asking(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_completion_tokens": 4000, "messages": list(messages), **fields}


PLAIN = asking(said("user", [text("hi")]))
TALK = asking(said("user", "hi"), said("assistant", "yes"), said("user", "go"))
#: The older name of the limit counts only without the newer one.
OLD_LIMIT = {"model": "m", "messages": PLAIN["messages"]}
IMAGE = asking(said("user", [text("look"), {"type": "image_url", "image_url": {"url": PNG}}]))
FILE = asking(
    said("user", [text("read"), {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}])
)
TOOLS = asking(said("user", "hi"), tools=[TOOL])
LOOP = asking(
    said("user", "hi"),
    said("assistant", None, tool_calls=[CALL]),
    {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    tools=[TOOL],
)
SCHEMED = {**PLAIN, "response_format": {"type": "json_schema", "json_schema": FORMAT}}
STREAM = {**PLAIN, "stream": True}
ALLOWED = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
}

SAMPLES: dict[tuple[str, str], Sample] = {
    ("model", ""): Sample("m", PLAIN, other="n"),
    ("messages", ""): Sample(TALK["messages"], PLAIN, other=PLAIN["messages"]),
    ("messages", "instructions alone"): Sample(
        [said("system", "say hi")], PLAIN, other=PLAIN["messages"]
    ),
    ("messages[].role", "system, developer first"): Sample(
        "developer", TALK, at="messages[0].role", other="user"
    ),
    ("messages[].role", "system, developer later"): Sample(
        "system", TALK, at="messages[2].role", other="user"
    ),
    ("messages[].role", "user, assistant"): Sample(
        "assistant", TALK, at="messages[1].role", other="user"
    ),
    ("messages[]", "the model's at the end"): Sample(said("assistant", "yes"), PLAIN),
    ("messages[].name", ""): Sample("ann", PLAIN),
    ("messages[].content", ""): Sample("words", PLAIN, other="others"),
    ("messages[].content[].text", ""): Sample("words", PLAIN, other="others"),
    ("messages[].content[].cache_control", ""): Sample({"type": "ephemeral"}, PLAIN),
    ("messages[].content[].prompt_cache_breakpoint", ""): Sample({"mode": "explicit"}, PLAIN),
    ("messages[].content[].image_url.url", "data"): Sample(
        PNG, IMAGE, other=PNG.replace("go=", "gp=")
    ),
    ("messages[].content[].image_url.url", "https"): Sample(
        "https://e.org/a.png", IMAGE, other=PNG
    ),
    ("messages[].content[].image_url.detail", "low, high"): Sample("low", IMAGE),
    ("messages[].content[].image_url.detail", "auto"): Sample("auto", IMAGE),
    ("messages[].content[].file.file_data", "application/pdf"): Sample(
        PDF, FILE, other=PDF.replace("0=", "1=")
    ),
    ("messages[].content[].file.file_data", "text"): Sample(
        "data:text/plain;base64,aGk=", FILE, other=PDF
    ),
    ("messages[].content[].file.file_data", "other types"): Sample(
        "data:application/zip;base64,UEs=", FILE, other=PDF
    ),
    ("messages[].content[].file.filename", ""): Sample("b.pdf", FILE),
    ("messages[].content[].file.file_id", ""): Sample(
        {"file_id": "file-1"}, FILE, at="messages[].content[].file", other={"file_data": PDF}
    ),
    ("messages[].content[].input_audio", ""): Sample(
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        PLAIN,
        at="messages[].content[]",
    ),
    ("messages[].content[]", "newer types"): Sample({"type": "hologram"}, PLAIN),
    ("messages[].audio", ""): Sample({"id": "audio_1"}, TALK, at="messages[1].audio"),
    ("messages[].refusal", ""): Sample("no", TALK, at="messages[1].refusal"),
    ("messages[].reasoning_content", ""): Sample("hm", TALK, at="messages[1].reasoning_content"),
    ("messages[].reasoning_details[]", ""): Sample(
        {"type": "reasoning.encrypted", "data": "c2ln"},
        TALK,
        at="messages[1].reasoning_details[]",
    ),
    ("messages[].tool_calls[].id", ""): Sample(
        [
            said("user", "hi"),
            said("assistant", None, tool_calls=[{**CALL, "id": "call_2"}]),
            {"role": "tool", "tool_call_id": "call_2", "content": "done"},
        ],
        LOOP,
        at="messages",
        other=LOOP["messages"],
    ),
    ("messages[].tool_calls[].function.name", ""): Sample(
        "g", LOOP, at="messages[1].tool_calls[0].function.name", other="f"
    ),
    ("messages[].tool_calls[].function.arguments", ""): Sample(
        '{"x":"2"}', LOOP, at="messages[1].tool_calls[0].function.arguments", other='{"x":"1"}'
    ),
    ("messages[].tool_calls[]", "custom"): Sample(
        {"type": "custom", "id": "call_2", "custom": {"name": "g", "input": "x"}},
        TALK,
        at="messages[1].tool_calls[]",
    ),
    ("messages[].function_call", ""): Sample(
        [
            said("user", "hi"),
            said("assistant", None, function_call={"name": "f", "arguments": "{}"}),
            said("function", "done", name="f"),
        ],
        TOOLS,
        at="messages",
        other=TOOLS["messages"],
    ),
    ("messages[].tool_call_id", "without a call"): Sample(
        [{"role": "tool", "tool_call_id": "call_9", "content": "done"}, said("user", "hi")],
        LOOP,
        at="messages",
        other=LOOP["messages"],
    ),
    ("tools[].type", "function"): Sample([TOOL], PLAIN, at="tools"),
    ("tools[].function.name", ""): Sample("g", TOOLS, other="f"),
    ("tools[].function.description", ""): Sample("words", TOOLS),
    ("tools[].function.parameters", ""): Sample(SCHEMA, TOOLS),
    ("tools[].function.strict", "true"): Sample(True, TOOLS),
    ("tools[].function.strict", "false"): Sample(False, TOOLS),
    ("tools[].cache_control", ""): Sample({"type": "ephemeral"}, TOOLS),
    ("tools[]", "custom and newer types"): Sample(
        {"type": "custom", "custom": {"name": "g"}}, TOOLS
    ),
    ("functions", ""): Sample([{**FUNCTION, "name": "g"}], TOOLS),
    ("function_call", ""): Sample({"name": "f"}, TOOLS),
    ("tool_choice", "auto, required, none"): Sample("required", TOOLS),
    ("tool_choice", "function"): Sample({"type": "function", "function": {"name": "f"}}, TOOLS),
    ("tool_choice.allowed_tools.tools", ""): Sample(ALLOWED, TOOLS, at="tool_choice"),
    ("tool_choice", "custom"): Sample({"type": "custom", "custom": {"name": "g"}}, TOOLS),
    ("parallel_tool_calls", ""): Sample(False, TOOLS),
    ("max_completion_tokens", ""): Sample(4000, PLAIN, other=5000),
    ("max_completion_tokens", "below 16"): Sample(5, PLAIN, other=16),
    ("max_tokens", ""): Sample(4000, OLD_LIMIT, other=5000),
    ("stop", "up to 4"): Sample("END", PLAIN),
    ("stop", "more than 5"): Sample(LONG, PLAIN),
    ("temperature", "up to 1"): Sample(0.5, PLAIN),
    ("temperature", "above 1"): Sample(1.5, PLAIN),
    ("top_p", "alone"): Sample(0.5, PLAIN),
    ("top_p", "beside temperature"): Sample(0.5, {**PLAIN, "temperature": 0.5}),
    ("top_k", ""): Sample(40, PLAIN),
    ("seed", ""): Sample(7, PLAIN),
    ("presence_penalty", "not 0"): Sample(0.5, PLAIN),
    ("frequency_penalty", "not 0"): Sample(0.5, PLAIN),
    ("logit_bias", "not empty"): Sample({"50256": -100}, PLAIN),
    ("logprobs", "true"): Sample(True, PLAIN),
    ("top_logprobs", "not 0"): Sample(3, PLAIN),
    ("n", "1"): Sample(1, PLAIN),
    ("n", "more than 1"): Sample(2, PLAIN),
    ("response_format", "text"): Sample({"type": "text"}, PLAIN),
    ("response_format", "json_object"): Sample({"type": "json_object"}, PLAIN),
    ("response_format.json_schema.schema", "closed objects"): Sample(
        {"type": "json_schema", "json_schema": FORMAT}, PLAIN, at="response_format"
    ),
    ("response_format.json_schema.schema", "open objects"): Sample(
        {"type": "json_schema", "json_schema": {**FORMAT, "schema": OPEN}},
        PLAIN,
        at="response_format",
    ),
    ("response_format.json_schema.name", ""): Sample("label", SCHEMED, other="answer"),
    ("response_format.json_schema.description", ""): Sample("words", SCHEMED),
    ("response_format.json_schema.strict", ""): Sample(True, SCHEMED),
    ("reasoning_effort", "none"): Sample("none", PLAIN),
    ("reasoning_effort", "minimal"): Sample("minimal", PLAIN),
    ("reasoning_effort", "low, medium, high"): Sample("low", PLAIN),
    ("reasoning_effort", "xhigh"): Sample("xhigh", PLAIN),
    ("verbosity", ""): Sample("low", PLAIN),
    ("stream", ""): Sample(True, PLAIN),
    ("stream_options.include_usage", ""): Sample(True, STREAM),
    ("stream_options.include_obfuscation", "false"): Sample(False, STREAM),
    ("stream_options.include_obfuscation", "true"): Sample(True, STREAM),
    ("safety_identifier", ""): Sample("u1", PLAIN),
    ("user", ""): Sample("u1", PLAIN),
    ("metadata", ""): Sample({"team": "x"}, PLAIN),
    ("service_tier", "auto"): Sample("auto", PLAIN),
    ("service_tier", "default"): Sample("default", PLAIN),
    ("service_tier", "flex, priority"): Sample("flex", PLAIN),
    ("service_tier", "scale, fast"): Sample("scale", PLAIN),
    ("store", "false"): Sample(False, PLAIN),
    ("store", "true"): Sample(True, PLAIN),
    ("modalities", "text"): Sample(["text"], PLAIN),
    ("modalities", "audio"): Sample(["text", "audio"], PLAIN),
    ("audio", ""): Sample({"voice": "alloy", "format": "wav"}, PLAIN),
    ("prediction", ""): Sample({"type": "content", "content": "x"}, PLAIN),
    ("web_search_options", ""): Sample({}, PLAIN),
    ("prompt_cache_key", ""): Sample("k", PLAIN),
    ("prompt_cache_options", ""): Sample({"mode": "explicit"}, PLAIN),
    ("prompt_cache_retention", ""): Sample("24h", PLAIN),
    ("moderation", ""): Sample({"mode": "auto"}, PLAIN),
}
