"""One call of a tool as each vendor streams it, by hand, on purpose without our encoders."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["tools_offered", "vendor_call"]

Json = dict[str, Any]


def vendor_call(dialect: str, model: str, name: str, arguments: Json) -> str:
    """Stream text in which ``model`` calls the tool; ``dialect`` as the simulator names it."""
    return _CALLS[dialect](model, name, arguments)


def tools_offered(body: Json) -> set[str]:
    """Names of the functions a request of any dialect offers."""
    tools = [one for tool in body["tools"] for one in tool.get("functionDeclarations", [tool])]
    return {one["name"] for one in tools if "name" in one}


def _events(*events: Json) -> str:
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)


def _anthropic(model: str, name: str, arguments: Json) -> str:
    message: Json = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 1},
    }
    block: Json = {"type": "tool_use", "id": "toolu_scripted", "name": name, "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
    return _events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 50},
        },
        {"type": "message_stop"},
    )


def _responses(model: str, name: str, arguments: Json) -> str:
    said = json.dumps(arguments)
    opened = {
        "id": "fc_scripted",
        "type": "function_call",
        "status": "in_progress",
        "call_id": "call_scripted",
        "name": name,
        "arguments": "",
    }
    item = {**opened, "status": "completed", "arguments": said}
    begun: Json = {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 1_795_392_000,
        "status": "in_progress",
        "model": model,
        "output": [],
    }
    usage = {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 1050,
    }
    ended = begun | {"status": "completed", "output": [item], "usage": usage}
    kind, at = "response.function_call_arguments", {"output_index": 0, "item_id": "fc_scripted"}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": f"{kind}.delta", **at, "delta": said},
        {"type": f"{kind}.done", **at, "arguments": said},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": ended},
    ]
    return _events(*({**one, "sequence_number": number} for number, one in enumerate(events)))


def _gemini(model: str, name: str, arguments: Json) -> str:
    content = {"role": "model", "parts": [{"functionCall": {"name": name, "args": arguments}}]}
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 50, "totalTokenCount": 1050}
    chunk = {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "scripted",
    }
    return f"data: {json.dumps(chunk)}\r\n\r\n"


_CALLS = {"anthropic": _anthropic, "openai_responses": _responses, "gemini": _gemini}
