"""Chat Completions, from headers to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bytespike_cli.simulator.dialect import Ask, Memory, Meter, Named, name_in_body
from bytespike_cli.simulator.dialects.openai import account
from bytespike_cli.simulator.dialects.openai.chat_request import (
    question,
    read_chat_request,
)
from bytespike_cli.simulator.dialects.openai.chat_wire import (
    ChatAnswer,
    chat_body,
    chat_frames,
    data_frame,
)
from bytespike_cli.simulator.dialects.openai.usage import ChatMeter
from bytespike_cli.simulator.hosts import is_of_compatible_host
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.prefixes import Part
from bytespike_cli.simulator.question import decide, spent
from bytespike_cli.simulator.reply import Frame, Reply, VendorError
from bytespike_cli.simulator.tokens import MESSAGE_TOKENS

__all__ = ["OPENAI_CHAT", "OpenAIChat"]

Json = dict[str, Any]


class OpenAIChat:
    """``POST /v1/chat/completions``."""

    name = "openai_chat"
    meter: Meter = ChatMeter()
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
        """A completion, whole or streamed."""
        request = read_chat_request(ask.body)
        decision = decide(question(request), ask.faults)
        parts = _parts(request)
        scope = f"{self.name}\0{ask.model}\0{request.get('prompt_cache_key', '')}"
        step = account.CACHE_STEP_TOKENS
        cached = memory.cache.read_automatic(scope, parts, ask.now_ms, step=step)
        usage = spent(decision, sum(part.tokens for part in parts), cached, ask.faults)
        choices = request.get("n", 1)
        streamed = request.get("stream", False)
        options = request.get("stream_options") or {}
        answer = ChatAnswer(
            decision=decision,
            usage=msgspec.structs.replace(
                usage,
                output_tokens=usage.output_tokens * choices,
                reasoning_tokens=usage.reasoning_tokens * choices,
            ),
            identity=ask.identity,
            model=ask.model,
            choices=choices,
            pieces=ask.faults.events,
            shown=is_of_compatible_host(ask.model),
            reported=not ask.faults.no_usage,
            wants_usage=bool(options.get("include_usage")),
            padded=options.get("include_obfuscation") is not False,
        )
        headers = account.headers(ask.identity)
        if streamed:
            headers["content-type"] = self.stream_type
        frames = chat_frames(answer) if streamed else [Frame(chat_body(answer), 1)]
        return Reply(200, headers, frames, streamed, self.error_after, answer.usage)

    def error_reply(
        self, error: VendorError, identity: Identity, retry_after_s: int | None
    ) -> Reply:
        """The error envelope."""
        return account.error_reply(error, identity, retry_after_s, self.error_after)

    def error_as_success(self, ask: Ask) -> Reply:
        """The same under a 200."""
        return account.error_as_success(ask, self.error_after)

    def error_after(self, _: int) -> list[Frame]:
        """A chunk that is an error."""
        return [data_frame({"error": account.error_object(account.told(500))})]


OPENAI_CHAT = OpenAIChat()


def _parts(request: Json) -> list[Part]:
    """The prompt in the order the cache sees it: tools, the answer's schema, messages."""
    leading = [*(request.get("tools") or ()), *(request.get("functions") or ())]
    if (request.get("response_format") or {}).get("json_schema"):
        leading.append(request["response_format"]["json_schema"])
    parts = [account.part_of(value) for value in leading]
    for message in request["messages"]:
        content = {name: item for name, item in message.items() if name != "role"}
        part = account.part_of(content)
        parts.append(Part(message["role"].encode() + part.content, part.tokens + MESSAGE_TOKENS))
    return parts
