"""The input items of a Responses request: their fields, and what must stand beside what."""

from __future__ import annotations

from typing import Any

from bytespike_cli.simulator.dialects.openai.checks import (
    Check,
    anything,
    array,
    json_object,
    one_of,
    record,
    refused,
    tagged,
    text,
    words_or,
)
from bytespike_cli.simulator.issued import Issued
from bytespike_cli.simulator.reply import VendorError

__all__ = ["INPUT", "check_history"]

Json = dict[str, Any]

MAX_CALL_ID = 64

_TEXT = text()
_CALL_ID = text(least=1, most=MAX_CALL_ID)
_NAME = text(least=1, most=64, pattern="[a-zA-Z0-9_-]+")
_STATUS = one_of("in_progress", "completed", "incomplete")


def _id(prefix: str) -> Check:
    def check(path: str, value: Any) -> None:
        text(least=1, most=64)(path, value)
        if not value.startswith(prefix):
            message = f"Invalid '{path}': '{value}'. Expected an ID that begins with '{prefix}'."
            raise refused(message, path, "invalid_value")

    return check


_INPUT_PARTS = {
    "input_text": record(
        {"type": _TEXT, "text": _TEXT, "prompt_cache_breakpoint": anything}, ("text",)
    ),
    "input_image": record(
        {
            "type": _TEXT,
            "image_url": _TEXT,
            "file_id": _TEXT,
            "detail": one_of("low", "high", "auto", "original"),
            "prompt_cache_breakpoint": anything,
        }
    ),
    "input_file": record(
        {
            "type": _TEXT,
            "file_data": _TEXT,
            "file_id": _TEXT,
            "file_url": _TEXT,
            "filename": _TEXT,
            "detail": _TEXT,
            "prompt_cache_breakpoint": anything,
        }
    ),
}
_AUDIO = record(
    {
        "type": _TEXT,
        "input_audio": record(
            {"data": text(least=1), "format": one_of("wav", "mp3")}, ("data", "format")
        ),
    },
    ("input_audio",),
)
_ASKED = words_or(array(tagged("type", {**_INPUT_PARTS, "input_audio": _AUDIO})))
_SAID = words_or(
    array(
        tagged(
            "type",
            {
                "output_text": record(
                    {"type": _TEXT, "text": _TEXT, "annotations": anything, "logprobs": anything},
                    ("text",),
                ),
                "refusal": record({"type": _TEXT, "refusal": _TEXT}, ("refusal",)),
            },
        )
    )
)
_ASKING = record(
    # The reference names no id here; Codex sends one.
    {"type": _TEXT, "role": _TEXT, "content": _ASKED, "id": _id("msg"), "status": _STATUS},
    ("content",),
)
_MESSAGE = tagged(
    "role",
    {
        "assistant": record(
            {
                "type": _TEXT,
                "role": _TEXT,
                "content": _SAID,
                "id": _id("msg"),
                "status": _STATUS,
                "phase": one_of("commentary", "final_answer"),
            },
            ("content",),
        ),
        "system": _ASKING,
        "developer": _ASKING,
        "user": _ASKING,
    },
)
_OUTPUT: dict[str, Check] = {
    "type": _TEXT,
    "call_id": _CALL_ID,
    "output": words_or(array(tagged("type", _INPUT_PARTS))),
    "status": _STATUS,
    "name": _TEXT,
    "namespace": _TEXT,
    "caller": anything,
}
_CALL: dict[str, Check] = {
    "type": _TEXT,
    "call_id": _CALL_ID,
    "name": _NAME,
    "status": _STATUS,
    "namespace": _TEXT,
    "caller": anything,
    "async": anything,
}
_SUMMARY = record({"type": one_of("summary_text"), "text": _TEXT}, ("type", "text"))
_ITEMS: dict[str, Check] = {
    "message": _MESSAGE,
    "function_call": record(
        {**_CALL, "id": _id("fc"), "arguments": _TEXT}, ("call_id", "name", "arguments")
    ),
    "function_call_output": record({**_OUTPUT, "id": _id("fc")}, ("call_id", "output")),
    "custom_tool_call": record(
        {**_CALL, "id": _id("ctc"), "input": _TEXT}, ("call_id", "name", "input")
    ),
    "custom_tool_call_output": record({**_OUTPUT, "id": _TEXT}, ("call_id", "output")),
    "reasoning": record(
        {
            "type": _TEXT,
            "id": _id("rs"),
            "summary": array(_SUMMARY),
            "content": array(json_object),
            "encrypted_content": _TEXT,
            "status": _STATUS,
        },
        ("summary",),
    ),
    "item_reference": record({"type": _TEXT, "id": _TEXT}, ("id",)),
}
_UNCHECKED = (
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
)
#: What ``input`` must be if it is an array.
INPUT: Check = array(
    tagged("type", {**_ITEMS, **dict.fromkeys(_UNCHECKED, anything)}, default="message")
)

_OUTPUTS = {
    "function_call_output": ("function_call", "function call"),
    "custom_tool_call_output": ("custom_tool_call", "custom tool call"),
}
_CALLS = {call: words for call, words in _OUTPUTS.values()}


def check_history(items: list[Json], dialect: str, issued: Issued) -> None:
    """What stands beside what. Raises :class:`VendorError`."""
    _check_calls(items)
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item["type"] == "item_reference":
            raise _not_found(item["id"])
        if item["type"] == "reasoning":
            _check_reasoning(item, following, dialect, issued)
        elif item.get("id"):
            wanted = issued.belongs_to(dialect, item["id"])
            if wanted and not any(before.get("id") == wanted for before in items[:at]):
                message = (
                    f"Item '{item['id']}' of type '{item['type']}' was provided without its"
                    f" required 'reasoning' item: '{wanted}'."
                )
                raise refused(message, "input", None)


def _check_calls(items: list[Json]) -> None:
    waiting: dict[tuple[str, str], None] = {}
    for item in items:
        kind = item["type"]
        if kind in _CALLS:
            waiting[kind, item["call_id"]] = None
        elif kind in _OUTPUTS:
            call, words = _OUTPUTS[kind]
            if (call, item["call_id"]) not in waiting:
                message = f"No tool call found for {words} output with call_id {item['call_id']}."
                raise refused(message, "input", None)
            del waiting[call, item["call_id"]]
    for kind, call_id in waiting:
        raise refused(f"No tool output found for {_CALLS[kind]} {call_id}.", "input", None)


def _check_reasoning(item: Json, following: Json | None, dialect: str, issued: Issued) -> None:
    named = item.get("id", "")
    state = item.get("encrypted_content")
    if state is None and not (named and issued.knows(dialect, named)):
        raise _not_found(named)
    if state is not None and not issued.knows(dialect, state):
        message = (
            f"The encrypted content {state[:8]}... could not be verified. Reason: Encrypted content"
            " could not be decrypted or parsed."
        )
        raise refused(message, None, "invalid_encrypted_content")
    spoken = following is not None and (
        following["type"].endswith("_call")
        or following["type"] == "reasoning"
        or following.get("role") == "assistant"
    )
    if not spoken:
        message = (
            f"Item '{named}' of type 'reasoning' was provided without its required following item."
        )
        raise refused(message, "input", None)


def _not_found(named: str) -> VendorError:
    message = (
        f"Item with id '{named}' not found. Items are not persisted when `store` is set to false."
        " Try again with `store` set to true, or remove this item from your input."
    )
    return VendorError(404, "invalid_request_error", message, param="input")
