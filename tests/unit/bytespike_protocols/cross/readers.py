"""The four official clients, each reading bytes of ours as an answer of its vendor's.

No socket: their HTTP libraries hand them the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import anthropic
import httpx2
import openai
from google import genai
from google.genai import errors, types
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import Response as SdkResponse

from bytespike_protocols.ir import Dialect
from tests.unit.bytespike_protocols.cross.meaning import Call, Counts, Said, arguments_of, runs

__all__ = ["READERS", "SDK_ERRORS", "Reader", "Reading"]

#: What the clients raise when the gateway tells them of an error in mid-stream.
SDK_ERRORS: dict[Dialect, type[Exception]] = {
    Dialect.ANTHROPIC: anthropic.APIStatusError,
    Dialect.OPENAI_CHAT: openai.APIError,
    Dialect.OPENAI_RESPONSES: openai.APIError,
    Dialect.GEMINI: errors.APIError,
}
_URL = "http://gateway.test"
_ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Reading(NamedTuple):
    """What was said, and what a user seldom looks at: opaque state and sources, in order."""

    said: Said
    state: tuple[str, ...]
    sources: tuple[str, ...]


class Reader(Protocol):
    """One dialect's official client."""

    def stream(self, body: bytes) -> Reading:
        """Raises what the client raises."""

    def whole(self, body: bytes) -> Reading:
        """Raises what the client raises."""


class Wire:
    """Answers every request with ``body``."""

    def __init__(self) -> None:
        self.body = b""
        self.content_type = ""
        self.http_client = httpx2.Client(transport=httpx2.MockTransport(self._answer))

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": self.content_type}
        return httpx2.Response(200, headers=headers, content=self.body)

    def stream(self, body: bytes) -> None:
        """From now on the answer is this stream."""
        self.body, self.content_type = body, "text/event-stream"

    def whole(self, body: bytes) -> None:
        """From now on the answer is this body."""
        self.body, self.content_type = body, "application/json"


class AnthropicReader:
    """Streams through the helper that gathers the final message."""

    def __init__(self) -> None:
        self._wire = Wire()
        self._sdk = anthropic.Anthropic(
            api_key="k", base_url=_URL, max_retries=0, http_client=self._wire.http_client
        )

    def stream(self, body: bytes) -> Reading:
        self._wire.stream(body)
        with self._sdk.messages.stream(max_tokens=100, **_ASKED) as stream:
            return self._read(stream.get_final_message())

    def whole(self, body: bytes) -> Reading:
        self._wire.whole(body)
        return self._read(self._sdk.messages.create(max_tokens=100, **_ASKED))

    def _read(self, message: anthropic.types.Message) -> Reading:
        blocks = [block.to_dict() for block in message.content]
        kinds = {"text": "text", "thinking": "thoughts", "tool_use": "call"}
        shown = [b for b in blocks if b.get(str(b["type"])) or b["type"] == "tool_use"]
        said = Said(
            text="".join(str(b["text"]) for b in blocks if b["type"] == "text"),
            refusal="",
            thoughts="".join(str(b["thinking"]) for b in blocks if b["type"] == "thinking"),
            calls=tuple(
                Call(str(b["id"]), str(b["name"]), b["input"])
                for b in blocks
                if b["type"] == "tool_use"
            ),
            order=runs(kinds[str(b["type"])] for b in shown if b["type"] in kinds),
            stop=str(message.stop_reason),
            stop_sequence=message.stop_sequence,
            usage=self._counts(message.usage),
        )
        state = tuple(str(s) for b in blocks if (s := b.get("signature") or b.get("data")))
        cited: list[Any] = [c for b in blocks for c in _listed(b.get("citations"))]
        sources = tuple(str(c.get("url") or c.get("cited_text")) for c in cited)
        return Reading(said, state, sources)

    def _counts(self, usage: anthropic.types.Usage) -> Counts:
        cached, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
        assert cached is not None
        assert written is not None
        details = usage.output_tokens_details
        prompt = usage.input_tokens + cached + written
        return Counts(
            prompt=prompt,
            cached=cached,
            written=written,
            output=usage.output_tokens,
            reasoning=(details.thinking_tokens or 0) if details else 0,
            total=prompt + usage.output_tokens,
        )


class ChatReader:
    """Streams through the helper that gathers the final completion; it raises on answers that were
    cut or filtered, by design: those are gathered here.
    """

    def __init__(self) -> None:
        self._wire = Wire()
        self._sdk = openai.OpenAI(
            api_key="k", base_url=_URL, max_retries=0, http_client=self._wire.http_client
        )

    def stream(self, body: bytes) -> Reading:
        self._wire.stream(body)
        chunks = list(self._sdk.chat.completions.create(stream=True, **_ASKED))
        last = [chunk for chunk in chunks if chunk.choices][-1]
        gathered = _gathered(chunks)
        if last.choices[0].finish_reason not in ("length", "content_filter"):
            with self._sdk.chat.completions.stream(**_ASKED) as stream:
                final = stream.get_final_completion()
            assert self._read(final) == self._read(gathered)
        return self._read(gathered)

    def whole(self, body: bytes) -> Reading:
        self._wire.whole(body)
        return self._read(self._sdk.chat.completions.create(**_ASKED))

    def _read(self, completion: Any) -> Reading:
        choice = completion.choices[0].to_dict()
        message = choice["message"]
        calls = message.get("tool_calls") or []
        functions = [call["function"] for call in calls]
        said = Said(
            text=message.get("content") or "",
            refusal=message.get("refusal") or "",
            thoughts=message.get("reasoning_content") or "",
            calls=tuple(
                Call(call["id"], function["name"], _unless_empty(function["arguments"]))
                for call, function in zip(calls, functions, strict=True)
            ),
            order=(),
            stop=choice["finish_reason"],
            stop_sequence=None,
            usage=self._counts(completion.usage),
        )
        details = message.get("reasoning_details") or []
        state = [str(detail.get("signature") or detail.get("data")) for detail in details]
        extras = [call.get("extra_content") for call in calls]
        state += [extra["google"]["thought_signature"] for extra in extras if extra]
        cited = [note["url_citation"] for note in message.get("annotations") or []]
        sources = tuple(f"{c['url']} {c['start_index']}-{c['end_index']}" for c in cited)
        return Reading(said, tuple(state), sources)

    def _counts(self, usage: openai.types.CompletionUsage | None) -> Counts | None:
        if usage is None:
            return None
        prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
        assert prompt is not None
        assert output is not None
        return Counts(
            prompt=usage.prompt_tokens,
            cached=prompt.cached_tokens or 0,
            written=prompt.cache_write_tokens or 0,
            output=usage.completion_tokens,
            reasoning=output.reasoning_tokens or 0,
            total=usage.total_tokens,
        )


def _gathered(chunks: Iterable[ChatCompletionChunk]) -> openai.types.chat.ChatCompletion:
    """The chunks as one completion, by the simplest of readers."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: list[dict[str, Any]] = []
    finish, usage = None, None
    for chunk in chunks:
        usage = chunk.usage.to_dict() if chunk.usage else usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            delta = choice.delta.to_dict()
            for piece in _listed(delta.pop("tool_calls", None)):
                if piece["index"] == len(calls):
                    calls.append(piece)
                    continue
                call = calls[piece["index"]]
                call |= {name: piece[name] for name in ("extra_content",) if name in piece}
                call["function"]["arguments"] += piece.get("function", {}).get("arguments", "")
            for name, value in delta.items():
                if name != "role" and value is not None:
                    before = message.get(name)
                    message[name] = value if before is None else before + value
    message["tool_calls"] = calls or None
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    head = {"id": "x", "created": 0, "model": "m", "object": "chat.completion"}
    return openai.types.chat.ChatCompletion.model_validate(
        {**head, "choices": choices, "usage": usage}
    )


class ResponsesReader:
    """Streams through the helper; the last event is the answer."""

    def __init__(self) -> None:
        self._wire = Wire()
        self._sdk = openai.OpenAI(
            api_key="k", base_url=_URL, max_retries=0, http_client=self._wire.http_client
        )

    def stream(self, body: bytes) -> Reading:
        self._wire.stream(body)
        ends = ("response.completed", "response.incomplete", "response.failed")
        words: list[str] = []
        final: list[SdkResponse] = []
        with self._sdk.responses.stream(model="m", input="q") as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    words.append(event.delta)
                elif event.type in ends:
                    final.append(event.response)  # type: ignore[union-attr]
        assert len(final) == 1
        reading = self._read(final[0])
        assert reading.said.text == "".join(words)
        return reading

    def whole(self, body: bytes) -> Reading:
        self._wire.whole(body)
        return self._read(self._sdk.responses.create(model="m", input="q"))

    def _read(self, response: SdkResponse) -> Reading:
        items = [item.to_dict() for item in response.output]
        parts = list(_parts(items))
        calls = [item for item in items if item["type"] == "function_call"]
        stop = str(response.status)
        if response.incomplete_details is not None:
            stop += f": {response.incomplete_details.reason}"
        assert (stop == "failed") is (response.error is not None)
        said = Said(
            text="".join(text for kind, text in parts if kind == "text"),
            refusal="".join(text for kind, text in parts if kind == "refusal"),
            thoughts="".join(text for kind, text in parts if kind == "thoughts"),
            calls=tuple(
                Call(str(c["call_id"]), str(c["name"]), _unless_empty(str(c["arguments"])))
                for c in calls
            ),
            order=runs(kind for kind, text in parts if text),
            stop=stop,
            stop_sequence=None,
            usage=self._counts(response.usage),
        )
        state = tuple(str(s) for item in items if (s := item.get("encrypted_content")))
        notes = [
            note
            for item in items
            for part in _listed(item.get("content"))
            for note in part.get("annotations") or []
        ]
        return Reading(said, state, tuple(map(str, notes)))

    def _counts(self, usage: Any) -> Counts | None:
        if usage is None:
            return None
        return Counts(
            prompt=usage.input_tokens,
            cached=usage.input_tokens_details.cached_tokens,
            written=usage.input_tokens_details.cache_write_tokens,
            output=usage.output_tokens,
            reasoning=usage.output_tokens_details.reasoning_tokens,
            total=usage.total_tokens,
        )


def _parts(items: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in items:
        if item["type"] == "function_call":
            yield "call", item["name"]
        elif item["type"] == "reasoning":
            yield from (("thoughts", part["text"]) for part in item["summary"])
        elif item["type"] == "message":
            for part in item["content"]:
                refused = part["type"] == "refusal"
                yield ("refusal", part["refusal"]) if refused else ("text", part["text"])


class GeminiReader:
    """Has no helper that gathers a stream: chunks are read as its users do."""

    def __init__(self) -> None:
        self._wire = Wire()
        options = types.HttpOptions(base_url=_URL, httpx_client=self._wire.http_client)
        self._sdk = genai.Client(api_key="k", http_options=options)

    def stream(self, body: bytes) -> Reading:
        self._wire.stream(body)
        return self._read(list(self._sdk.models.generate_content_stream(model="m", contents="hi")))

    def whole(self, body: bytes) -> Reading:
        self._wire.whole(body)
        return self._read([self._sdk.models.generate_content(model="m", contents="hi")])

    def _read(self, chunks: list[types.GenerateContentResponse]) -> Reading:
        found = [candidate for chunk in chunks for candidate in chunk.candidates or []]
        parts = [part for c in found for part in (c.content and c.content.parts) or []]
        calls = [part.function_call for part in parts if part.function_call]
        [finish] = [c.finish_reason for c in found if c.finish_reason]
        kinds = ["call" if p.function_call else "thoughts" if p.thought else "text" for p in parts]
        said = Said(
            text="".join(p.text or "" for p in parts if not p.thought),
            refusal="",
            thoughts="".join(p.text or "" for p in parts if p.thought),
            calls=tuple(Call(c.id or "", c.name or "", c.args) for c in calls),
            order=runs(
                kind
                for kind, part in zip(kinds, parts, strict=True)
                if part.text or part.function_call
            ),
            stop=finish.value,
            stop_sequence=None,
            usage=self._counts([c.usage_metadata for c in chunks if c.usage_metadata]),
        )
        state = tuple(str(p.thought_signature) for p in parts if p.thought_signature)
        grounds = [c.grounding_metadata for c in found if c.grounding_metadata]
        sources = tuple(ground.model_dump_json(exclude_none=True) for ground in grounds)
        return Reading(said, state, sources)

    def _counts(self, told: list[types.GenerateContentResponseUsageMetadata]) -> Counts | None:
        if not told:
            return None
        usage = told[-1]
        reasoning = usage.thoughts_token_count or 0
        return Counts(
            prompt=usage.prompt_token_count or 0,
            cached=usage.cached_content_token_count or 0,
            written=0,
            output=(usage.candidates_token_count or 0) + reasoning,
            reasoning=reasoning,
            total=usage.total_token_count or 0,
        )


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _unless_empty(arguments: str) -> Any:
    """Clients parse the arguments, and nothing is not JSON."""
    assert arguments.strip()
    return arguments_of(arguments)


@cache
def _readers() -> dict[Dialect, Reader]:
    return {
        Dialect.ANTHROPIC: AnthropicReader(),
        Dialect.OPENAI_CHAT: ChatReader(),
        Dialect.OPENAI_RESPONSES: ResponsesReader(),
        Dialect.GEMINI: GeminiReader(),
    }


READERS = _readers()
