"""A Responses answer as OpenAI's bytes. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bytespike_cli.simulator.dialects.openai.account import CREATED_S, error_object
from bytespike_cli.simulator.dialects.openai.responses_request import effort_of
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.question import REFUSAL, Call, Decision, compact, pieces
from bytespike_cli.simulator.reply import Frame, VendorError
from bytespike_contracts.money import TokenUsage

__all__ = ["ResponsesAnswer", "broken_frames", "output_items", "response_body", "response_frames"]

Json = dict[str, Any]

_ID_DIGITS = 48
_PADDING_CHARS = 16


class ResponsesAnswer(NamedTuple):
    """A decision with what the wire needs beside it. ``summarised`` is whether thoughts are shown,
    ``encrypted`` whether they come as opaque state, ``reported`` whether usage does.
    """

    request: Json
    decision: Decision
    usage: TokenUsage
    identity: Identity
    pieces: int | None
    summarised: bool
    encrypted: bool
    reported: bool
    padded: bool


def response_body(answer: ResponsesAnswer) -> bytes:
    """The body of a non-streamed answer."""
    return msgspec.json.encode(_finished(answer))


def response_frames(answer: ResponsesAnswer) -> list[Frame]:
    """The events of a streamed answer."""
    writer = _Writer(answer)
    opening = _response(answer, "in_progress", [])
    writer.write("response.created", {"response": opening})
    writer.write("response.in_progress", {"response": opening})
    for index, item in enumerate(output_items(answer)):
        writer.item(index, item)
    finished = _finished(answer)
    writer.write(f"response.{finished['status']}", {"response": finished})
    return writer.frames


def broken_frames(sent: int, error: VendorError, answer: ResponsesAnswer | None) -> list[Frame]:
    """How a stream says that it broke after ``sent`` events: an error, then the failed response."""
    said = error_object(error) | {"code": error.code or error.type}
    failed: Json = {"id": f"resp_{'0' * _ID_DIGITS}", "object": "response", "output": []}
    if answer is not None:
        failed = _response(answer, "failed", [])
    failed |= {"status": "failed", "error": {"code": said["code"], "message": error.message}}
    return [
        _frame("error", {"error": said, "sequence_number": sent}),
        _frame("response.failed", {"response": failed, "sequence_number": sent + 1}),
    ]


def output_items(answer: ResponsesAnswer) -> list[Json]:
    """The finished items."""
    decision, identity = answer.decision, answer.identity
    items: list[Json] = []
    if decision.thought:
        reasoning: Json = {"id": f"rs_{identity.digits('reasoning', _ID_DIGITS)}"}
        reasoning |= {"type": "reasoning", "content": []}
        if answer.encrypted:
            reasoning["encrypted_content"] = _encrypted(answer)
        shown = [{"type": "summary_text", "text": decision.thought}]
        items.append(reasoning | {"summary": shown if answer.summarised else []})
    items += [_call_item(identity, at, call) for at, call in enumerate(decision.calls)]
    part: Json = {"type": "output_text", "annotations": [], "logprobs": [], "text": decision.text}
    if decision.stop == "refusal" and not decision.text:
        part = {"type": "refusal", "refusal": REFUSAL}
    elif not decision.text:
        return items
    items.append(
        {
            "id": f"msg_{identity.digits('message', _ID_DIGITS)}",
            "type": "message",
            "status": "completed" if _status(decision) == "completed" else "incomplete",
            "content": [part],
            "role": "assistant",
        }
    )
    return items


def _encrypted(answer: ResponsesAnswer) -> str:
    state = answer.identity.opaque("encrypted", 240)
    return "gAAAAAB" + state.replace("+", "-").replace("/", "_")


def _call_item(identity: Identity, at: int, call: Call) -> Json:
    return {
        "id": f"fc_{identity.digits(f'call{at}', _ID_DIGITS)}",
        "type": "function_call",
        "status": "completed",
        "arguments": compact(call.arguments).decode(),
        "call_id": f"call_{identity.letters(f'call{at}', 24)}",
        "name": call.name,
    }


def _status(decision: Decision) -> str:
    halted = decision.stop == "max_tokens" or (decision.stop == "refusal" and decision.text)
    return "incomplete" if halted else "completed"


def _finished(answer: ResponsesAnswer) -> Json:
    status = _status(answer.decision)
    response = _response(answer, status, output_items(answer))
    if status == "incomplete":
        capped = answer.decision.stop == "max_tokens"
        reason = "max_output_tokens" if capped else "content_filter"
        response["incomplete_details"] = {"reason": reason}
    if answer.reported:
        response["usage"] = _usage(answer.usage)
    response["completed_at"] = CREATED_S if status == "completed" else None
    response["service_tier"] = "default"
    return response


def _response(answer: ResponsesAnswer, status: str, output: list[Json]) -> Json:
    """The response object with everything of the request it echoes."""
    asked = answer.request
    reasoning = asked.get("reasoning") or {}
    effort = effort_of(asked)
    wanted = asked.get("text") or {}
    return {
        "id": f"resp_{answer.identity.digits('response', _ID_DIGITS)}",
        "object": "response",
        "created_at": CREATED_S,
        "status": status,
        "background": False,
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "model": asked["model"],
        "moderation": None,
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": asked.get("prompt_cache_retention", "in_memory"),
        "reasoning": {
            "context": None,
            "effort": None if effort == "none" and not reasoning else effort,
            "summary": reasoning.get("summary"),
        },
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": asked.get("service_tier", "auto"),
        "store": asked.get("store", True),
        "temperature": asked.get("temperature", 1.0),
        "text": {
            "format": _echoed_format(wanted.get("format") or {"type": "text"}),
            "verbosity": wanted.get("verbosity", "medium"),
        },
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": [_echoed_tool(tool) for tool in asked["tools"]],
        "top_logprobs": asked.get("top_logprobs", 0),
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation", "disabled"),
        "usage": None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata", {}),
    }


def _echoed_format(format_: Json) -> Json:
    if format_["type"] != "json_schema":
        return format_
    return {"description": None, "strict": False, **format_}


def _echoed_tool(tool: Json) -> Json:
    if tool["type"] != "function":
        return tool
    return {"description": None, "parameters": None, **tool}


def _usage(usage: TokenUsage) -> Json:
    prompt = usage.input_tokens + usage.cache_read_tokens
    cached = {"cache_write_tokens": 0, "cached_tokens": usage.cache_read_tokens}
    return {
        "input_tokens": prompt,
        "input_tokens_details": cached,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": prompt + usage.output_tokens,
    }


def _frame(kind: str, fields: Json, weight: int = 0) -> Frame:
    data = msgspec.json.encode({"type": kind, **fields})
    return Frame(b"event: %b\ndata: %b\n\n" % (kind.encode(), data), weight)


class _Writer:
    """Numbers the events of one stream."""

    def __init__(self, answer: ResponsesAnswer) -> None:
        self._answer = answer
        self.frames: list[Frame] = []

    def write(self, kind: str, fields: Json, weight: int = 0) -> None:
        number = len(self.frames)
        self.frames.append(_frame(kind, {**fields, "sequence_number": number}, weight))

    def item(self, index: int, item: Json) -> None:
        """One item from its announcement to its end."""
        opening = {**item, "status": "in_progress"}
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            del opening["status"]
            opening["summary"] = []
        elif item["type"] == "function_call":
            opening["arguments"] = ""
        else:
            opening["content"] = []
        self.write("response.output_item.added", {"item": opening, "output_index": index})
        if item["type"] == "reasoning":
            self._thoughts(where, item)
        elif item["type"] == "function_call":
            arguments = item["arguments"]
            self._deltas("response.function_call_arguments", where, pieces(arguments))
            done = {**where, "arguments": arguments}
            self.write("response.function_call_arguments.done", done)
        else:
            self._message(where, item["content"][0])
        # Thoughts that are not shown were written all the same.
        hidden = item["type"] == "reasoning" and not item["summary"]
        weight = len(self._answer.decision.thought.encode()) if hidden else 0
        self.write("response.output_item.done", {"item": item, "output_index": index}, weight)

    def _thoughts(self, where: Json, item: Json) -> None:
        for at, part in enumerate(item["summary"]):
            place = {**where, "summary_index": at}
            empty = {**part, "text": ""}
            self.write("response.reasoning_summary_part.added", {**place, "part": empty})
            stem = "response.reasoning_summary_text"
            self._deltas(stem, place, pieces(part["text"]))
            self.write(f"{stem}.done", {**place, "text": part["text"]})
            self.write("response.reasoning_summary_part.done", {**place, "part": part})

    def _message(self, where: Json, part: Json) -> None:
        field = "text" if part["type"] == "output_text" else "refusal"
        stem = "response.output_text" if field == "text" else "response.refusal"
        place = {"content_index": 0, **where}
        logprobs: Json = {"logprobs": []} if field == "text" else {}
        self.write("response.content_part.added", {**place, "part": {**part, field: ""}})
        self._deltas(stem, place | logprobs, pieces(part[field], self._answer.pieces))
        self.write(f"{stem}.done", {**place, **logprobs, field: part[field]})
        self.write("response.content_part.done", {**place, "part": part})

    def _deltas(self, stem: str, place: Json, texts: list[str]) -> None:
        for text in texts:
            fields = {**place, "delta": text}
            if self._answer.padded:
                label = f"padding{len(self.frames)}"
                padding = self._answer.identity.letters(label, _PADDING_CHARS)
                fields["obfuscation"] = padding[ord(padding[0]) % _PADDING_CHARS :]
            self.write(f"{stem}.delta", fields, len(text.encode()))
