"""A vendor's stream of answers to events.

Every chunk is a whole answer with new parts. Unsigned text grows from chunk to chunk; a signed part
is a block of its own, because its signature belongs to just that part. Nothing says which chunk is
the last, and usage may still change in it: the end is told by :meth:`GeminiStreamDecoder.close`.
"""

from __future__ import annotations

import hashlib

import msgspec

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    ArgumentsDelta,
    CitationDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    SignatureDelta,
    Started,
    StreamGuard,
    TextDelta,
)
from bytespike_protocols.gemini.failure import info_failure
from bytespike_protocols.gemini.grounding import citations_of
from bytespike_protocols.gemini.names import answer_call_id
from bytespike_protocols.gemini.signature import read_signature, read_thought
from bytespike_protocols.gemini.stops import blocked, stop_of
from bytespike_protocols.gemini.usage import decode_usage
from bytespike_protocols.gemini.wire import Answer, AnswerPart, Call, Candidate, WireUsage
from bytespike_protocols.ir import (
    Dialect,
    Foreign,
    Json,
    Opaque,
    RedactedThinking,
    Stop,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.sse import Frame

__all__ = ["UNSPECIFIED", "GeminiStreamDecoder"]

_answer = msgspec.json.Decoder(Answer)
_part = msgspec.json.Decoder(AnswerPart)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
UNSPECIFIED = "FINISH_REASONUNSPECIFIED"
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class GeminiStreamDecoder:
    """Decodes one answer; see ``codec.StreamDecoder``."""

    __slots__ = (
        "_calls",
        "_cited",
        "_events",
        "_finish",
        "_guard",
        "_index",
        "_model",
        "_open",
        "_pending",
        "_sealed",
        "_searches",
        "_seed",
        "_started",
        "_texts",
        "_usage",
    )

    def __init__(self) -> None:
        self._guard = StreamGuard("upstream")
        self._events: list[Event] = []
        self._started = False
        self._seed = ""
        self._model = ""
        self._index = -1
        self._open: type[Text] | type[Thinking] | None = None
        #: The open block is signed: it takes citations, but no more text.
        self._sealed = False
        #: The open block has text, so citations are at home in it.
        self._texts = False
        self._calls = 0
        self._finish: Stop | None = None
        self._usage: WireUsage | None = None
        self._searches: set[str] = set()
        self._cited: set[Json] = set()
        self._pending: list[Json] = []

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one chunk. Raises ``BadUpstreamMessage`` on one that is not an answer."""
        try:
            answer = _answer.decode(frame.data)
        except _BROKEN as error:
            raise BadUpstreamMessage(f"not a Gemini answer: {error}") from None
        if answer.error is not None:
            failure = info_failure(200, answer.error)
            self._emit(Failed(kind=failure.kind, message=failure.message))
            return self._take()
        self._start(answer, frame.data)
        self._usage = answer.usage_metadata or self._usage
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._finish = blocked(feedback.block_reason, feedback.block_reason_message)
        for candidate in answer.candidates or ():
            # Of several answers the first is the one the rest of us can hold.
            if not candidate.index:
                self._candidate(candidate)
        return self._take()

    def close(self) -> list[Event]:
        """The end of the stream. Raises ``BadUpstreamMessage`` if the vendor was not done."""
        if self._guard.over:
            return []
        if self._finish is None:
            raise BadUpstreamMessage("the stream ended without a finish reason")
        self._cite_late()
        self._close_block()
        self._emit(Ended(stop=self._finish, usage=self._counted()))
        return self._take()

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _emit(self, event: Event) -> None:
        self._guard.check(event)
        self._events.append(event)

    def _start(self, answer: Answer, data: bytes) -> None:
        if self._started:
            return
        self._started = True
        self._model = answer.model_version or ""
        self._usage = answer.usage_metadata
        # Without an id the first chunk itself tells this answer from all others.
        self._seed = answer.response_id or hashlib.blake2b(data, digest_size=16).hexdigest()
        self._emit(Started(id=answer.response_id or "", model=self._model, usage=self._counted()))

    def _counted(self) -> Usage | None:
        if self._usage is None:
            return None
        return decode_usage(self._usage, web_searches=len(self._searches))

    def _candidate(self, candidate: Candidate) -> None:
        self._ground(candidate)
        for raw in (candidate.content and candidate.content.parts) or ():
            try:
                self._part(raw)
            except _BROKEN as error:
                raise BadUpstreamMessage(f"not a part of a Gemini answer: {error}") from None
        self._cite()
        reason = candidate.finish_reason
        if reason and reason != UNSPECIFIED:
            self._finish = stop_of(reason, candidate.finish_message, called=self._calls > 0)

    def _ground(self, candidate: Candidate) -> None:
        grounding = candidate.grounding_metadata
        if grounding is not None:
            self._searches.update(grounding.web_search_queries or ())
        # Chunks repeat what earlier ones said.
        for citation in citations_of(candidate):
            if citation not in self._cited:
                self._cited.add(citation)
                self._pending.append(citation)

    def _part(self, raw: msgspec.Raw) -> None:
        part = _part.decode(raw)
        if part.function_call is not None:
            self._tool_use(part, part.function_call)
        elif part.text is not None:
            self._text(part, part.text)
        else:
            self._other(part, raw)

    def _text(self, part: AnswerPart, text: str) -> None:
        kind = Thinking if part.thought else Text
        signature = part.thought_signature
        if not text and not signature:
            return
        if signature and part.thought:
            block = read_thought("", signature)
            if isinstance(block, RedactedThinking):
                self._whole(block)
                return
        if self._open is not kind or self._sealed or signature:
            self._close_block()
            self._opened(kind(text=""))
            self._open, self._sealed = kind, False
        if text:
            self._texts = kind is Text
            self._emit(TextDelta(index=self._index, text=text))
        if signature:
            self._sign(signature)
            self._sealed = True

    def _tool_use(self, part: AnswerPart, call: Call) -> None:
        if not call.name or call.partial_args is not None or call.will_continue:
            # Arguments in pieces come only to those who ask for them, and we do not.
            raise BadUpstreamMessage("a function call that is not whole")
        self._close_block()
        self._calls += 1
        call_id = call.id or answer_call_id(self._seed, self._calls)
        self._opened(ToolUse(id=call_id, name=call.name, arguments=Json("")))
        self._emit(ArgumentsDelta(index=self._index, json=_arguments(call.args)))
        if part.thought_signature:
            self._sign(part.thought_signature)
        self._emit(Closed(index=self._index))

    def _other(self, part: AnswerPart, raw: msgspec.Raw) -> None:
        kinds = [
            name for name in _fields.decode(raw) if name not in ("thoughtSignature", "thought")
        ]
        if kinds:
            value = Json(bytes(raw).decode())
            self._whole(Foreign(dialect=Dialect.GEMINI, kind=kinds[0], value=value))
        elif part.thought_signature:
            self._text(part, "")

    def _whole(self, block: Foreign | RedactedThinking) -> None:
        self._close_block()
        self._opened(block)
        self._emit(Closed(index=self._index))

    def _sign(self, signature: str) -> None:
        opaque: Opaque = read_signature(signature, self._model)
        self._emit(SignatureDelta(index=self._index, opaque=opaque))

    def _opened(self, block: Text | Thinking | ToolUse | Foreign | RedactedThinking) -> None:
        self._index += 1
        self._emit(Opened(index=self._index, block=block))

    def _cite(self) -> None:
        if self._open is Text and self._texts:
            for citation in self._pending:
                self._emit(CitationDelta(index=self._index, citation=citation))
            self._pending.clear()

    def _cite_late(self) -> None:
        """Sources that came when their text was already closed: better at the end than lost."""
        if self._pending and self._open is not Text:
            self._close_block()
            self._opened(Text(text=""))
            self._open = Text
        self._texts = True
        self._cite()

    def _close_block(self) -> None:
        if self._open is not None:
            self._cite()
            self._emit(Closed(index=self._index))
        self._open, self._sealed, self._texts = None, False, False


def _arguments(raw: msgspec.Raw) -> Json:
    text = bytes(raw).decode()
    if text == "null":
        return Json("{}")
    if not text.startswith("{"):
        raise BadUpstreamMessage("a function call whose arguments are not an object")
    return Json(text)
