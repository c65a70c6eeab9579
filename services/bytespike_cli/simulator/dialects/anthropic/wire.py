"""An answer as the vendor's bytes: a JSON body, or the frames of an event stream.

Pure. Spelling follows recordings of the vendor: compact JSON with raw UTF-8, spaces padded before
the last brace of most events, ``ping`` with a space after the colon.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from bytespike_cli.simulator.dialects.anthropic.answer import Answer
from bytespike_cli.simulator.reply import Frame
from bytespike_contracts.money import TokenUsage

__all__ = ["ERROR_TYPES", "error_body", "error_frame", "json_body", "stream_frames"]

Json = dict[str, Any]

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
#: The vendor pads events by up to this many spaces, so that their length tells nothing.
_MAX_PADDING = 15

#: Error type and message by status, for errors the simulator is told to give.
ERROR_TYPES: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The simulator was told to refuse this request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low."),
    403: ("permission_error", "Your API key may not use this resource."),
    404: ("not_found_error", "The requested resource was not found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "The request took too long."),
    529: ("overloaded_error", "Overloaded"),
}


def json_body(answer: Answer) -> bytes:
    """The body of a non-streamed answer."""
    message = _message(answer)
    message["content"] = [block.whole for block in answer.blocks]
    message["stop_reason"] = answer.stop_reason
    message["stop_sequence"] = answer.stop_sequence
    message["stop_details"] = answer.stop_details
    if answer.reported:
        message["usage"] = {**_input_usage(answer.usage), **_output_usage(answer.usage)}
        message["usage"] |= {"service_tier": "standard", "inference_geo": "not_available"}
    return msgspec.json.encode(message)


def stream_frames(answer: Answer) -> list[Frame]:
    """The events of a streamed answer, ping included."""
    frames = [_frame("message_start", {"message": _opening(answer)})]
    for index, block in enumerate(answer.blocks):
        frames.append(
            _frame("content_block_start", {"index": index, "content_block": block.opening})
        )
        if index == 0:
            frames.append(Frame(PING))
        frames += [
            _frame("content_block_delta", {"index": index, "delta": delta.wire}, delta.weight)
            for delta in block.deltas
        ]
        frames.append(_frame("content_block_stop", {"index": index}))
    frames.append(_frame("message_delta", _closing(answer)))
    frames.append(_frame("message_stop", {}))
    return frames


def error_body(type_: str, message: str, request_id: str) -> bytes:
    """The body of an error answer."""
    error = {"type": type_, "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def error_frame(type_: str = "overloaded_error", message: str = "Overloaded") -> Frame:
    """An error in the middle of a stream."""
    return _frame("error", {"error": {"type": type_, "message": message}})


def _frame(event: str, fields: Json, weight: int = 0) -> Frame:
    data = msgspec.json.encode({"type": event, **fields})
    padding = b"" if event == "error" else b" " * (zlib.crc32(data) % (_MAX_PADDING + 1))
    return Frame(b"event: %b\ndata: %b%b}\n\n" % (event.encode(), data[:-1], padding), weight)


def _message(answer: Answer) -> Json:
    return {
        "model": answer.model,
        "id": answer.message_id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _opening(answer: Answer) -> Json:
    message = _message(answer)
    if answer.reported:
        message["usage"] = {
            **_input_usage(answer.usage),
            "input_tokens": answer.opening_input_tokens,
            "output_tokens": 1,
            "service_tier": "standard",
            "inference_geo": "not_available",
        }
    return message


def _closing(answer: Answer) -> Json:
    fields: Json = {
        "delta": {
            "stop_reason": answer.stop_reason,
            "stop_sequence": answer.stop_sequence,
            "stop_details": answer.stop_details,
        }
    }
    if answer.reported:
        usage = _input_usage(answer.usage)
        del usage["cache_creation"]
        fields["usage"] = {**usage, **_output_usage(answer.usage)}
    return fields


def _input_usage(usage: TokenUsage) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
    }


def _output_usage(usage: TokenUsage) -> Json:
    fields: Json = {"output_tokens": usage.output_tokens}
    if usage.reasoning_tokens:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        fields["server_tool_use"] = {
            "web_search_requests": usage.web_searches,
            "web_fetch_requests": 0,
        }
    return fields
