"""A request for every row of the table of Responses' clients."""

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
TOOL = {"name": "f", "description": "does f", "parameters": SCHEMA}
GROUP = {"type": "namespace", "name": "crm", "description": "the customers", "tools": [TOOL]}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"x":"1"}'}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
FORMAT = {"type": "json_schema", "name": "answer", "schema": SCHEMA}
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def asking(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_output_tokens": 4000, "input": list(items), **fields}


HI = said("user", text("hi"))
YES = said("assistant", {"type": "output_text", "text": "yes"})
PLAIN = asking(HI)
TALK = asking(HI, YES, said("user", text("go")))
IMAGE = asking(said("user", {"type": "input_image", "image_url": PNG}))
FILE = asking(said("user", {"type": "input_file", "file_data": PDF, "filename": "a.pdf"}))
TOOLS = asking(HI, tools=[TOOL])
LOOP = asking(HI, CALL, RESULT, tools=[TOOL])
STREAM = {**PLAIN, "stream": True}
SCHEMED = {**PLAIN, "text": {"format": FORMAT}}

SAMPLES: dict[tuple[str, str], Sample] = {
    ("model", ""): Sample("m", PLAIN, other="n"),
    ("input", ""): Sample("words", PLAIN, other="others"),
    ("instructions", ""): Sample("be kind", PLAIN),
    ("input[].role", "system, developer first"): Sample(
        "developer", TALK, at="input[0].role", other="user"
    ),
    ("input[].role", "system, developer later"): Sample(
        "system", TALK, at="input[2].role", other="user"
    ),
    ("input[].role", "user, assistant"): Sample(
        TALK["input"], TALK, at="input", other=[HI, said("user", text("yes")), HI]
    ),
    ("input[]", "the model's at the end"): Sample(YES, PLAIN),
    ("input[].content", ""): Sample("words", PLAIN, other="others"),
    ("input[].content[].text", ""): Sample("words", PLAIN, other="others"),
    ("input[].content[].annotations", "not empty"): Sample(
        [{"type": "url_citation", "url": "https://e.org"}],
        TALK,
        at="input[1].content[0].annotations",
    ),
    ("input[].content[].refusal", ""): Sample(
        {"type": "refusal", "refusal": "no"}, TALK, at="input[1].content[]"
    ),
    ("input[].content[].image_url", "data"): Sample(PNG, IMAGE, other=PNG.replace("go=", "gp=")),
    ("input[].content[].image_url", "https"): Sample("https://e.org/a.png", IMAGE, other=PNG),
    ("input[].content[].file_id", "image"): Sample(
        {"type": "input_image", "file_id": "file-1"}, PLAIN, at="input[0].content[]"
    ),
    ("input[].content[].detail", "low, high"): Sample("low", IMAGE),
    ("input[].content[].detail", "auto"): Sample("auto", IMAGE),
    ("input[].content[].file_data", "application/pdf"): Sample(
        PDF, FILE, other=PDF.replace("0=", "1=")
    ),
    ("input[].content[].file_data", "text"): Sample("data:text/plain;base64,aGk=", FILE, other=PDF),
    ("input[].content[].file_data", "other types"): Sample(
        "data:application/zip;base64,UEs=", FILE, other=PDF
    ),
    ("input[].content[].filename", ""): Sample("b.pdf", FILE),
    ("input[].content[].file_url", ""): Sample(
        {"type": "input_file", "file_url": "https://e.org/a.pdf"}, PLAIN, at="input[0].content[]"
    ),
    ("input[].content[].file_id", "file"): Sample(
        {"type": "input_file", "file_id": "file-1"}, PLAIN, at="input[0].content[]"
    ),
    ("input[].content[].input_audio", ""): Sample(
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        PLAIN,
        at="input[0].content[]",
    ),
    ("input[].content[].prompt_cache_breakpoint", ""): Sample({"mode": "explicit"}, PLAIN),
    ("input[].id", ""): Sample("msg_1", TALK, at="input[1].id"),
    ("input[].status", ""): Sample("completed", TALK, at="input[1].status"),
    ("input[].phase", ""): Sample("commentary", TALK, at="input[1].phase"),
    ("input[].call_id", ""): Sample(
        [HI, {**CALL, "call_id": "call_2"}, {**RESULT, "call_id": "call_2"}],
        LOOP,
        at="input",
        other=LOOP["input"],
    ),
    ("input[].call_id", "a result without its call"): Sample(
        [RESULT, HI], LOOP, at="input", other=[HI]
    ),
    ("input[].name", ""): Sample("g", LOOP, at="input[1].name", other="f"),
    ("input[].arguments", ""): Sample(
        '{"x":"2"}', LOOP, at="input[1].arguments", other='{"x":"1"}'
    ),
    ("input[].async", ""): Sample(True, LOOP, at="input[1].async"),
    ("input[].caller", ""): Sample({"type": "direct"}, LOOP, at="input[1].caller"),
    ("input[].namespace", "of a tool offered in it"): Sample(
        "crm", {**LOOP, "tools": [GROUP]}, at="input[1].namespace"
    ),
    ("input[].namespace", "of a tool offered outside of it"): Sample(
        "n", LOOP, at="input[1].namespace"
    ),
    ("input[].output", "text"): Sample("42", LOOP, other="43"),
    ("input[].output[]", "input_image"): Sample(
        {"type": "input_image", "image_url": PNG},
        asking(HI, CALL, {**RESULT, "output": [text("done")]}, tools=[TOOL]),
    ),
    ("input[].output[].file_id", ""): Sample(
        {"type": "input_image", "file_id": "file-1"},
        asking(HI, CALL, {**RESULT, "output": [text("done")]}, tools=[TOOL]),
        at="input[].output[]",
    ),
    ("input[].input", "custom_tool_call"): Sample(
        [
            HI,
            {"type": "custom_tool_call", "call_id": "call_1", "name": "f", "input": "x"},
            {**RESULT, "type": "custom_tool_call_output"},
        ],
        {**TOOLS, "tools": [{"type": "custom", "name": "f"}]},
        at="input",
        other=[HI],
    ),
    ("input[].encrypted_content", "OpenAI's own"): Sample(
        [HI, {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}, CALL, RESULT],
        LOOP,
        at="input",
        other=LOOP["input"],
    ),
    ("input[].summary", "without encrypted_content"): Sample(
        [
            HI,
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            CALL,
            RESULT,
        ],
        LOOP,
        at="input",
        other=LOOP["input"],
    ),
    ("input[]", "item_reference, items of hosted tools"): Sample(
        {"type": "item_reference", "id": "msg_1"}, PLAIN
    ),
    ("tools[].type", "function"): Sample("function", TOOLS),
    ("tools[].name", ""): Sample("g", TOOLS, other="f"),
    ("tools[].description", ""): Sample("words", TOOLS),
    ("tools[].parameters", ""): Sample(SCHEMA, TOOLS),
    ("tools[].strict", "true"): Sample(True, TOOLS),
    ("tools[].strict", "false"): Sample(False, TOOLS),
    ("tools[].type", "custom"): Sample({"type": "custom", "name": "g"}, TOOLS, at="tools[]"),
    ("tools[].format", "custom"): Sample(
        {"type": "grammar", "syntax": "regex", "definition": ".*"},
        {**TOOLS, "tools": [{"type": "custom", "name": "g"}]},
    ),
    ("tools[].allowed_callers", ""): Sample(["direct"], TOOLS),
    ("tools[].async", ""): Sample(True, TOOLS),
    ("tools[].defer_loading", ""): Sample(True, TOOLS),
    ("tools[].output_schema", ""): Sample(SCHEMA, TOOLS),
    ("tools[]", "web_search"): Sample({"type": "web_search"}, TOOLS),
    ("tools[]", "namespace"): Sample(GROUP, TOOLS),
    ("tools[]", "other hosted tools"): Sample(
        {"type": "file_search", "vector_store_ids": ["vs_1"]}, TOOLS
    ),
    ("tool_choice", "auto, required, none"): Sample("required", TOOLS),
    ("tool_choice", "function, custom"): Sample({"type": "function", "name": "f"}, TOOLS),
    ("tool_choice.tools", "allowed_tools"): Sample(ALLOWED, TOOLS, at="tool_choice"),
    ("tool_choice", "a hosted tool"): Sample({"type": "web_search"}, TOOLS),
    ("parallel_tool_calls", ""): Sample(False, TOOLS),
    ("max_tool_calls", ""): Sample(3, TOOLS),
    ("max_output_tokens", ""): Sample(4000, PLAIN, other=5000),
    ("temperature", "up to 1"): Sample(0.5, PLAIN),
    ("temperature", "above 1"): Sample(1.5, PLAIN),
    ("top_p", "alone"): Sample(0.5, PLAIN),
    ("top_p", "beside temperature"): Sample(0.5, {**PLAIN, "temperature": 0.5}),
    ("top_logprobs", "not 0"): Sample(3, PLAIN),
    ("include", "reasoning.encrypted_content"): Sample(["reasoning.encrypted_content"], PLAIN),
    ("include", "message.output_text.logprobs"): Sample(["message.output_text.logprobs"], PLAIN),
    ("include", "anything else"): Sample(["web_search_call.results"], PLAIN),
    ("text.format", "text"): Sample({"type": "text"}, PLAIN),
    ("text.format", "json_object"): Sample({"type": "json_object"}, PLAIN),
    ("text.format.schema", "closed objects"): Sample(FORMAT, PLAIN, at="text.format"),
    ("text.format.schema", "open objects"): Sample(
        {**FORMAT, "schema": OPEN}, PLAIN, at="text.format"
    ),
    ("text.format.name", ""): Sample("label", SCHEMED, other="answer"),
    ("text.format.description", ""): Sample("words", SCHEMED),
    ("text.format.strict", ""): Sample(True, SCHEMED),
    ("text.verbosity", ""): Sample("low", PLAIN),
    ("reasoning.effort", "none"): Sample("none", PLAIN),
    ("reasoning.effort", "minimal"): Sample("minimal", PLAIN),
    ("reasoning.effort", "low, medium, high"): Sample("low", PLAIN),
    ("reasoning.effort", "xhigh"): Sample("xhigh", PLAIN),
    ("reasoning.summary", "auto"): Sample("auto", {**PLAIN, "reasoning": {"effort": "low"}}),
    ("reasoning.summary", "concise, detailed"): Sample(
        "detailed", {**PLAIN, "reasoning": {"effort": "low"}}
    ),
    ("reasoning.generate_summary", ""): Sample("auto", PLAIN),
    ("reasoning.context", ""): Sample("auto", PLAIN),
    ("reasoning.mode", ""): Sample("standard", PLAIN),
    ("stream", ""): Sample(True, PLAIN),
    ("stream_options", "include_obfuscation: false"): Sample(
        {"include_obfuscation": False}, STREAM
    ),
    ("stream_options", "include_obfuscation: true"): Sample({"include_obfuscation": True}, STREAM),
    ("safety_identifier", ""): Sample("u1", PLAIN),
    ("user", ""): Sample("u1", PLAIN),
    ("metadata", ""): Sample({"team": "x"}, PLAIN),
    ("service_tier", "auto"): Sample("auto", PLAIN),
    ("service_tier", "default"): Sample("default", PLAIN),
    ("service_tier", "flex, priority"): Sample("flex", PLAIN),
    ("service_tier", "scale, fast"): Sample("scale", PLAIN),
    ("service_tier", "ultrafast"): Sample("ultrafast", PLAIN),
    ("store", "false"): Sample(False, PLAIN),
    ("store", "true"): Sample(True, PLAIN),
    ("previous_response_id", ""): Sample("resp_1", PLAIN),
    ("conversation", ""): Sample("conv_1", PLAIN),
    ("prompt", ""): Sample({"id": "pmpt_1"}, PLAIN),
    ("background", "true"): Sample(True, PLAIN),
    ("background", "false"): Sample(False, PLAIN),
    ("background_options", ""): Sample({"completion_window": "2h"}, PLAIN),
    ("truncation", "disabled"): Sample("disabled", PLAIN),
    ("truncation", "auto"): Sample("auto", PLAIN),
    ("context_management", ""): Sample([{"type": "compaction"}], PLAIN),
    ("prompt_cache_key", ""): Sample("k", PLAIN),
    ("prompt_cache_options", ""): Sample({"mode": "explicit"}, PLAIN),
    ("prompt_cache_retention", ""): Sample("24h", PLAIN),
    ("moderation", ""): Sample({"mode": "auto"}, PLAIN),
    ("access_programs", ""): Sample({"bio": True}, PLAIN),
    ("image", ""): Sample({"detail": "low"}, PLAIN),
}
