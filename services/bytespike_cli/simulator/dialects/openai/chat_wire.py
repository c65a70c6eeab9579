"""A Chat Completions answer as OpenAI's bytes. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bytespike_cli.simulator.dialects.openai.account import CREATED_S
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.question import REFUSAL, Decision, Stop, compact, pieces
from bytespike_cli.simulator.reply import Frame
from bytespike_contracts.money import TokenUsage

__all__ = ["DONE", "ChatAnswer", "chat_body", "chat_frames", "data_frame"]

Json = dict[str, Any]

DONE = Frame(b"data: [DONE]\n\n")
_PADDING_CHARS = 16

_FINISH: dict[Stop, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "calls": "tool_calls",
    "refusal": "content_filter",
}


class ChatAnswer(NamedTuple):
    """A decision with what the wire needs beside it. ``shown`` is whether thoughts are sent,
    ``reported`` whether usage is, ``padded`` whether chunks get random-looking padding.
    """

    decision: Decision
    usage: TokenUsage
    identity: Identity
    model: str
    choices: int
    pieces: int | None
    shown: bool
    reported: bool
    wants_usage: bool
    padded: bool


def chat_body(answer: ChatAnswer) -> bytes:
    """The body of a non-streamed answer."""
    body = _head(answer, "chat.completion")
    body["choices"] = [
        {
            "index": index,
            "message": _message(answer, index),
            "logprobs": None,
            "finish_reason": _finish(answer.decision),
        }
        for index in range(answer.choices)
    ]
    if answer.reported:
        body["usage"] = _usage(answer.usage)
    return msgspec.json.encode(body | {"service_tier": "default", "system_fingerprint": _PRINT})


def chat_frames(answer: ChatAnswer) -> list[Frame]:
    """The chunks of a streamed answer and the mark that ends it."""
    frames: list[Frame] = []
    for index in range(answer.choices):
        for delta, weight in _deltas(answer, index):
            frames.append(_chunk(answer, index, delta, None, weight, len(frames)))
        finish = _finish(answer.decision)
        frames.append(_chunk(answer, index, {}, finish, 0, len(frames)))
    if answer.wants_usage and answer.reported:
        chunk = {**_chunk_head(answer), "choices": [], "usage": _usage(answer.usage)}
        frames.append(data_frame(chunk | _padding(answer, len(frames))))
    return [*frames, DONE]


def data_frame(chunk: Json, weight: int = 0) -> Frame:
    """One event: data alone."""
    return Frame(b"data: %b\n\n" % msgspec.json.encode(chunk), weight)


_PRINT = "fp_5175bb1a70"


def _head(answer: ChatAnswer, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.identity.letters('chat', 29)}",
        "object": kind,
        "created": CREATED_S,
        "model": answer.model,
    }


def _chunk_head(answer: ChatAnswer) -> Json:
    head = _head(answer, "chat.completion.chunk")
    return head | {"service_tier": "default", "system_fingerprint": _PRINT}


def _chunk(
    answer: ChatAnswer, index: int, delta: Json, finish: str | None, weight: int, number: int
) -> Frame:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_chunk_head(answer), "choices": [choice]}
    if answer.wants_usage:
        chunk["usage"] = None
    return data_frame(chunk | _padding(answer, number), weight)


def _padding(answer: ChatAnswer, number: int) -> Json:
    """Padding of changing length, so that an event's size tells nothing."""
    if not answer.padded:
        return {}
    padding = answer.identity.letters(f"padding{number}", _PADDING_CHARS)
    return {"obfuscation": padding[ord(padding[0]) % _PADDING_CHARS :]}


def _finish(decision: Decision) -> str:
    refused = decision.stop == "refusal" and not decision.text
    return "stop" if refused else _FINISH[decision.stop]


def _call_id(answer: ChatAnswer, index: int, at: int) -> str:
    return f"call_{answer.identity.letters(f'call{index}.{at}', 24)}"


def _message(answer: ChatAnswer, index: int) -> Json:
    decision = answer.decision
    message: Json = {"role": "assistant", "content": decision.text}
    if answer.shown and decision.thought:
        message["reasoning_content"] = decision.thought
    if decision.calls:
        message["content"] = None
        message["tool_calls"] = [
            {
                "id": _call_id(answer, index, at),
                "type": "function",
                "function": {"name": call.name, "arguments": compact(call.arguments).decode()},
            }
            for at, call in enumerate(decision.calls)
        ]
    message |= {"refusal": None, "annotations": []}
    if decision.stop == "refusal" and not decision.text:
        message |= {"content": None, "refusal": REFUSAL}
    return message


def _deltas(answer: ChatAnswer, index: int) -> list[tuple[Json, int]]:
    """The deltas of one choice with the bytes of output each carries. Hidden thoughts weigh on the
    first.
    """
    decision = answer.decision
    thought = decision.thought
    refused = decision.stop == "refusal" and not decision.text
    opening: Json = {"role": "assistant", "content": None if decision.calls else ""}
    if not decision.calls:
        opening["refusal"] = None
    if refused:
        opening = {"role": "assistant", "content": None, "refusal": ""}
    deltas: list[tuple[Json, int]] = [(opening, 0 if answer.shown else len(thought.encode()))]
    if answer.shown:
        deltas += [_weighed({"reasoning_content": p}, p) for p in pieces(thought)]
    if refused:
        return [*deltas, *(_weighed({"refusal": p}, p) for p in pieces(REFUSAL))]
    deltas += [_weighed({"content": p}, p) for p in pieces(decision.text, answer.pieces)]
    for at, call in enumerate(decision.calls):
        function = {"name": call.name, "arguments": ""}
        head = {"index": at, "id": _call_id(answer, index, at), "type": "function"}
        deltas.append(({"tool_calls": [{**head, "function": function}]}, 0))
        for piece in pieces(compact(call.arguments).decode()):
            part = {"index": at, "function": {"arguments": piece}}
            deltas.append(_weighed({"tool_calls": [part]}, piece))
    return deltas


def _weighed(delta: Json, piece: str) -> tuple[Json, int]:
    return delta, len(piece.encode())


def _usage(usage: TokenUsage) -> Json:
    prompt = usage.input_tokens + usage.cache_read_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
