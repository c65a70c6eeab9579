"""generateContent, streamGenerateContent and countTokens, from headers to bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from bytespike_cli.simulator.caller import BAD_KEY, bearer
from bytespike_cli.simulator.dialect import Ask, Memory, Meter, Named
from bytespike_cli.simulator.dialects.gemini import errors
from bytespike_cli.simulator.dialects.gemini.counting import details, parts_of
from bytespike_cli.simulator.dialects.gemini.history import check_history
from bytespike_cli.simulator.dialects.gemini.requests import (
    Model,
    question,
    read_count_request,
    read_generate_request,
    thinks,
)
from bytespike_cli.simulator.dialects.gemini.usage import GeminiMeter
from bytespike_cli.simulator.dialects.gemini.wire import (
    GeminiAnswer,
    chunks,
    error_object,
    in_lines,
    sse_frame,
    whole,
)
from bytespike_cli.simulator.faults import DEFAULT_ERROR_BODY
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.question import decide, spent
from bytespike_cli.simulator.reply import Frame, Reply, VendorError

__all__ = ["GEMINI_ROUTE", "Gemini", "gemini_for"]

Json = dict[str, Any]
Framing = Literal["whole", "sse", "array"]

#: Every verb of every model, whose name may hold slashes.
GEMINI_ROUTE = "/{version:v1|v1beta|v1alpha}/{kind:models|tunedModels}/{target:.+}"

_PATH = re.compile(r"/(?P<version>v1\w*)/(models|tunedModels)/(?P<target>.+)")
_VERBS = ("generateContent", "streamGenerateContent", "countTokens")
_SIGNATURE_CHARS = 160


class Gemini:
    """One of the three ways an answer is framed: in one piece, as events, as a JSON array that is
    written bit by bit.
    """

    name = "gemini"
    meter: Meter = GeminiMeter()
    stream_type = "text/event-stream"

    def __init__(self, framing: Framing) -> None:
        self._framing = framing

    def named(self, path: str, body: bytes) -> Named:
        """The path names the model."""
        model, _, _ = _target(path)
        model, _, suffix = model.partition("+")
        return Named(model, suffix, body)

    def check_caller(self, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        """A key in its header or in the query."""
        key = headers.get("x-goog-api-key", "") or query.get("key", "")
        if not key:
            raise errors.wrong_credentials() if bearer(headers) else errors.no_key()
        if key == BAD_KEY:
            raise errors.bad_key()

    def told(self, status: int) -> VendorError:
        """The vendor's words for a status."""
        return errors.told(status)

    def compose(self, ask: Ask, memory: Memory) -> Reply:
        """An answer in this framing, or a count."""
        _, verb, version = _target(ask.path)
        model = Model(ask.model)
        if not model.known() or verb not in _VERBS:
            raise errors.no_model(ask.model, version, verb)
        counting = verb == "countTokens"
        read = read_count_request if counting else read_generate_request
        request = read(ask.body, model)
        check_history(request, model, self.name, memory.issued)
        parts = parts_of(request)
        total = sum(part.tokens for part in parts)
        if counting:
            counted = {"totalTokens": total, "promptTokensDetails": details(request, total)}
            return self._reply(200, [Frame(in_lines(counted))], streamed=False)
        scope = f"{self.name}\0{ask.model}"
        cached = memory.cache.read_automatic(scope, parts, ask.now_ms, step=1)
        answer = _answer(ask, request, model, total, cached)
        if answer.signature:
            memory.issued.add(self.name, answer.signature)
        reply = self._reply(200, self._frames(answer), streamed=self._framing != "whole")
        return reply._replace(usage=answer.usage)

    def error_reply(self, error: VendorError, _: Identity, retry_after_s: int | None) -> Reply:
        """The error envelope; in a list where a list was asked for."""
        if retry_after_s is not None:
            error.details = errors.with_delay(error, retry_after_s)
        body: Any = error_object(error)
        body = [body] if self._framing == "array" else body
        return self._reply(error.status, [Frame(in_lines(body))], streamed=False)

    def error_as_success(self, ask: Ask) -> Reply:
        """The same under a 200; the fault may name the status word."""
        error = errors.told(503)
        if ask.faults.error_body != DEFAULT_ERROR_BODY:
            error.type = ask.faults.error_body
        return self.error_reply(error, ask.identity, None)._replace(status=200)

    def error_after(self, sent: int) -> list[Frame]:
        """A chunk that is an error."""
        error = error_object(errors.told(503))
        if self._framing == "sse":
            return [sse_frame(error)]
        return [Frame((b",\r\n" if sent else b"[") + in_lines(error) + b"]")]

    def _frames(self, answer: GeminiAnswer) -> list[Frame]:
        if self._framing == "whole":
            return [Frame(in_lines(whole(answer)), 1)]
        made = chunks(answer)
        if self._framing == "sse":
            return [sse_frame(chunk, weight) for chunk, weight in made]
        frames = [
            Frame((b",\r\n" if at else b"[") + in_lines(chunk), weight)
            for at, (chunk, weight) in enumerate(made)
        ]
        return [*frames[:-1], Frame(frames[-1].data + b"]", frames[-1].weight)]

    def _reply(self, status: int, frames: list[Frame], *, streamed: bool) -> Reply:
        sse = streamed and self._framing == "sse"
        kind = self.stream_type if sse else "application/json; charset=UTF-8"
        headers = {"content-type": kind, "x-gemini-service-tier": "standard", "vary": "Origin"}
        return Reply(status, headers, frames, streamed, self.error_after)


_WHOLE, _SSE, _ARRAY = Gemini("whole"), Gemini("sse"), Gemini("array")


def gemini_for(path: str, query: Mapping[str, str]) -> Gemini:
    """The framing a request asks for."""
    if not path.endswith(":streamGenerateContent"):
        return _WHOLE
    return _SSE if query.get("alt") == "sse" else _ARRAY


def _target(path: str) -> tuple[str, str, str]:
    """Model with its fault suffix, verb and API version."""
    found = _PATH.fullmatch(path)
    if found is None:
        return "", "", ""
    model, _, verb = found["target"].rpartition(":")
    return model, verb, found["version"]


def _answer(ask: Ask, request: Json, model: Model, total: int, cached: int) -> GeminiAnswer:
    config = request.get("generationConfig") or {}
    thinking = config.get("thinkingConfig") or {}
    decision = decide(question(request, model), ask.faults)
    usage = spent(decision, total, cached, ask.faults, refusal="")
    candidates = config.get("candidateCount", 1)
    reasoned = thinks(request, model) or model.generation >= 3
    signature = ask.identity.opaque("signature", _SIGNATURE_CHARS) if reasoned else None
    return GeminiAnswer(
        decision=decision,
        usage=type(usage)(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            output_tokens=usage.output_tokens * candidates,
            reasoning_tokens=usage.reasoning_tokens * candidates,
        ),
        details=details(request, usage.input_tokens + usage.cache_read_tokens),
        identity=ask.identity,
        model=model,
        candidates=candidates,
        pieces=ask.faults.events,
        shown=thinking.get("includeThoughts", False),
        signature=signature,
        reported=not ask.faults.no_usage,
    )
