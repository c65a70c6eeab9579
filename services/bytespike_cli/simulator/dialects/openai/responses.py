"""Responses, from headers to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bytespike_cli.simulator.dialect import Ask, Memory, Meter, Named, name_in_body
from bytespike_cli.simulator.dialects.openai import account
from bytespike_cli.simulator.dialects.openai.responses_items import check_history
from bytespike_cli.simulator.dialects.openai.responses_request import (
    ENCRYPTED,
    items_of,
    question,
    read_responses_request,
)
from bytespike_cli.simulator.dialects.openai.responses_wire import (
    ResponsesAnswer,
    broken_frames,
    output_items,
    response_body,
    response_frames,
)
from bytespike_cli.simulator.dialects.openai.usage import ResponsesMeter
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.issued import Issued
from bytespike_cli.simulator.prefixes import Part
from bytespike_cli.simulator.question import decide, spent
from bytespike_cli.simulator.reply import Frame, Reply, VendorError
from bytespike_cli.simulator.tokens import MESSAGE_TOKENS

__all__ = ["OPENAI_RESPONSES", "OpenAIResponses"]

Json = dict[str, Any]


class OpenAIResponses:
    """``POST /v1/responses``."""

    name = "openai_responses"
    meter: Meter = ResponsesMeter()
    stream_type = "text/event-stream; charset=utf-8"

    def named(self, _: str, body: bytes) -> Named:
        """The body names the model."""
        return name_in_body(body)

    def check_caller(self, headers: Mapping[str, str], _: Mapping[str, str]) -> None:
        """A bearer token."""
        account.check_caller(headers)

    def told(self, status: int) -> VendorError:
        """The vendor's words for a status."""
        return account.told(status)

    def compose(self, ask: Ask, memory: Memory) -> Reply:
        """A response, whole or streamed."""
        request = read_responses_request(ask.body)
        check_history(items_of(request), self.name, memory.issued)
        decision = decide(question(request), ask.faults)
        parts = _parts(request)
        scope = f"{self.name}\0{ask.model}\0{request.get('prompt_cache_key', '')}"
        step = account.CACHE_STEP_TOKENS
        cached = memory.cache.read_automatic(scope, parts, ask.now_ms, step=step)
        reasoning = request.get("reasoning") or {}
        options = request.get("stream_options") or {}
        answer = ResponsesAnswer(
            request=request,
            decision=decision,
            usage=spent(decision, sum(part.tokens for part in parts), cached, ask.faults),
            identity=ask.identity,
            pieces=ask.faults.events,
            summarised=bool(reasoning.get("summary") or reasoning.get("generate_summary")),
            encrypted=ENCRYPTED in request.get("include", ()),
            reported=not ask.faults.no_usage,
            padded=options.get("include_obfuscation") is not False,
        )
        _issue(answer, memory.issued)
        streamed = request.get("stream", False)
        headers = account.headers(ask.identity)
        if streamed:
            headers["content-type"] = self.stream_type
        frames = response_frames(answer) if streamed else [Frame(response_body(answer), 1)]
        broken = partial(_broken, answer=answer)
        return Reply(200, headers, frames, streamed, broken, answer.usage)

    def error_reply(
        self, error: VendorError, identity: Identity, retry_after_s: int | None
    ) -> Reply:
        """The error envelope."""
        return account.error_reply(error, identity, retry_after_s, self.error_after)

    def error_as_success(self, ask: Ask) -> Reply:
        """The same under a 200."""
        return account.error_as_success(ask, self.error_after)

    def error_after(self, sent: int) -> list[Frame]:
        """An ``error`` event, then the failed response."""
        return _broken(sent, None)


OPENAI_RESPONSES = OpenAIResponses()


def _broken(sent: int, answer: ResponsesAnswer | None) -> list[Frame]:
    return broken_frames(sent, account.told(500), answer)


def _issue(answer: ResponsesAnswer, issued: Issued) -> None:
    """Reasoning may come back by its state, and by its id if the answer is stored; what it led to
    may not come back without it.
    """
    reasoning = ""
    for item in output_items(answer):
        if item["type"] == "reasoning":
            reasoning = item["id"]
            if answer.request.get("store", True):
                issued.add(OpenAIResponses.name, reasoning)
            if "encrypted_content" in item:
                issued.add(OpenAIResponses.name, item["encrypted_content"])
        elif reasoning:
            issued.add(OpenAIResponses.name, item["id"], reasoning)


def _parts(request: Json) -> list[Part]:
    """The prompt in the order the cache sees it: tools, format, instructions, items."""
    leading = [*request["tools"], (request.get("text") or {}).get("format")]
    parts = [account.part_of(value) for value in [*leading, request.get("instructions")] if value]
    for item in items_of(request):
        part = account.part_of({name: value for name, value in item.items() if name != "role"})
        overhead = MESSAGE_TOKENS if item["type"] == "message" else 0
        parts.append(Part(item.get("role", "").encode() + part.content, part.tokens + overhead))
    return parts
