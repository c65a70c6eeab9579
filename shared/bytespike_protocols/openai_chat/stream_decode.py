"""A vendor's chunks as events; the whole answer is read as a stream of one chunk.

Blocks must follow one another, while chunks may mix: thoughts and words are passed on as they come,
and so is the first call; everything after it waits until that call is known to be complete, which
is the end. Each call is found by its index, or by its id where a host numbers badly (the same
index for all, or none).
"""

from __future__ import annotations

import hashlib

import msgspec

from bytespike_protocols.custody import unwrap
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
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_chat.citations import citation_of
from bytespike_protocols.openai_chat.failure import UNREADABLE, read_failure
from bytespike_protocols.openai_chat.reasoning import ENCRYPTED, block_of_detail, words_of
from bytespike_protocols.openai_chat.stops import decode_stop
from bytespike_protocols.openai_chat.usage import decode_usage
from bytespike_protocols.openai_chat.wire import (
    Annotation,
    CallPiece,
    Choice,
    Chunk,
    Delta,
    FunctionPiece,
)
from bytespike_protocols.sse import Frame

__all__ = ["DONE", "ChatStreamDecoder", "read_chunk"]

Words = type[Text] | type[Thinking] | type[Refusal]

DONE = b"[DONE]"
_chunks = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes) -> Chunk:
    """Raises ``BadUpstreamMessage``."""
    try:
        return _chunks.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadUpstreamMessage(f"not a chat completion: {error}") from None


class _Call:
    """A call whose pieces are coming in."""

    __slots__ = ("id", "name", "opaque", "pieces")

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.opaque: Opaque | None = None
        #: Arguments not yet passed on.
        self.pieces: list[str] = []


class ChatStreamDecoder:
    """For one answer."""

    __slots__ = (
        "_annotations",
        "_by_index",
        "_calls",
        "_detail",
        "_events",
        "_guard",
        "_id",
        "_later",
        "_live",
        "_model",
        "_next",
        "_open",
        "_pieces",
        "_refused",
        "_usage",
        "_word",
    )

    def __init__(self) -> None:
        self._guard = StreamGuard("upstream")
        self._events: list[Event] = []
        self._id: str | None = None
        self._model = ""
        self._next = 0
        self._open: Words | None = None
        #: What the open block of words holds so far.
        self._pieces: list[str] = []
        self._detail: dict[str, object] = {}
        self._annotations: list[Annotation] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._live: _Call | None = None
        #: Words that came after a call.
        self._later: list[Delta] = []
        self._refused = False
        self._word: str | None = None
        self._usage: Usage | None = None

    def feed(self, frame: Frame) -> list[Event]:
        """Raises ``BadUpstreamMessage``."""
        if self._guard.over:
            return []
        if frame.data.strip() == DONE:
            return self._end()
        if frame.event == b"error":
            return self._fail(frame.data)
        chunk = read_chunk(frame.data)
        if chunk.error:
            return self._fail(frame.data)
        self._start(chunk)
        for choice in chunk.choices or ():
            self._choose(choice, choice.delta)
        return self._drain()

    def whole(self, chunk: Chunk) -> list[Event]:
        """The events of an answer that was not streamed. Raises ``BadUpstreamMessage``."""
        if not chunk.choices:
            raise BadUpstreamMessage("the answer has no choices")
        self._start(chunk)
        for choice in chunk.choices:
            self._choose(choice, choice.message)
        return self._end()

    def close(self) -> list[Event]:
        """Some hosts send no ``[DONE]``: a finish reason is as good. Raises
        ``BadUpstreamMessage``.
        """
        if self._guard.over:
            return []
        if self._word is None:
            raise BadUpstreamMessage("the stream ended before its end")
        return self._end()

    def _emit(self, event: Event) -> None:
        self._guard.check(event)
        self._events.append(event)

    def _drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _fail(self, data: bytes) -> list[Event]:
        failure = read_failure(200, data) or UNREADABLE
        self._emit(Failed(kind=failure.kind, message=failure.message))
        return self._drain()

    def _start(self, chunk: Chunk) -> None:
        usage = decode_usage(chunk.usage)
        self._usage = usage or self._usage
        # Azure's filter results come first, in a chunk without an id.
        if self._id is None and (chunk.choices or chunk.id):
            self._id, self._model = chunk.id or "", chunk.model or ""
            created_s = int(chunk.created) if chunk.created else None
            self._emit(Started(id=self._id, model=self._model, created_s=created_s, usage=usage))

    def _choose(self, choice: Choice, delta: Delta | None) -> None:
        if choice.index:
            # Alternatives: only the first is asked for when answers are translated.
            return
        if delta is not None:
            self._take(delta)
        # Some hosts send an empty reason with every chunk.
        self._word = choice.finish_reason or self._word

    def _take(self, delta: Delta) -> None:
        if not self._calls:
            self._take_words(delta)
        elif _has_words(delta):
            self._later.append(delta)
        self._annotations += delta.annotations or ()
        for place, piece in enumerate(delta.tool_calls or ()):
            self._take_call(piece, place)
        legacy = delta.function_call
        if legacy is not None and (legacy.name or self._calls):
            self._take_call(CallPiece(index=0, function=legacy), 0)

    # Words.

    def _take_words(self, delta: Delta) -> None:
        self._take_thoughts(delta)
        thought, text = _content_of(delta.content)
        self._say(Thinking, thought)
        self._say(Text, text)
        if delta.refusal:
            self._refused = True
            self._say(Refusal, delta.refusal)

    def _say(self, kind: Words, text: str) -> None:
        if not text:
            return
        if self._open is not kind:
            self._open_words(kind)
        self._pieces.append(text)
        self._emit(TextDelta(index=self._next, text=text))

    def _open_words(self, kind: Words) -> None:
        self._close_words()
        self._open, self._pieces = kind, []
        self._emit(Opened(index=self._next, block=kind(text="")))

    def _close_words(self) -> None:
        if self._open is None:
            return
        if self._open is Text:
            self._cite("".join(self._pieces))
        elif self._detail:
            block = block_of_detail(self._detail, model=self._model)
            self._detail = {}
            if block is not None and block.opaque is not None:
                self._emit(SignatureDelta(index=self._next, opaque=block.opaque))
        self._close_block()
        self._open = None

    def _close_block(self) -> None:
        self._emit(Closed(index=self._next))
        self._next += 1

    def _cite(self, text: str) -> None:
        for annotation in self._annotations:
            citation = citation_of(annotation, text)
            if citation is not None:
                self._emit(CitationDelta(index=self._next, citation=citation))
        self._annotations = []

    # Thoughts.

    def _take_thoughts(self, delta: Delta) -> None:
        details = delta.reasoning_details or []
        if not any(words_of(detail) for detail in details):
            # With words in both places they are the same words.
            words = delta.reasoning_content or delta.reasoning or ""
            if words and _has_state(self._detail):
                self._close_words()
            self._say(Thinking, words)
        for detail in details:
            if detail.get("type") == ENCRYPTED:
                self._take_encrypted(detail)
            else:
                self._take_detail(detail)

    def _take_encrypted(self, detail: dict[str, object]) -> None:
        block = block_of_detail(detail, model=self._model)
        if block is None or isinstance(block, Thinking):
            return
        self._close_words()
        self._emit(Opened(index=self._next, block=block))
        self._close_block()

    def _take_detail(self, detail: dict[str, object]) -> None:
        known = self._detail
        other = bool(known) and known.get("index") != detail.get("index")
        if self._open is not Thinking or other or _has_state(known):
            if not words_of(detail) and not _has_state(detail):
                return
            self._open_words(Thinking)
        words = words_of(detail)
        # A host may send the words piece by piece elsewhere, and here once more as a whole.
        if known or words != "".join(self._pieces):
            self._say(Thinking, words)
        for name, value in detail.items():
            before = self._detail.get(name)
            joined = name in {"text", "summary"} and isinstance(before, str)
            if joined and isinstance(value, str):
                self._detail[name] = f"{before}{value}"
            elif value is not None:
                self._detail[name] = value

    # Calls.

    def _take_call(self, piece: CallPiece, place: int) -> None:
        call = self._call_of(piece, place)
        function = piece.function or FunctionPiece()
        # Some hosts repeat the name with every piece.
        call.name = call.name or function.name or ""
        google = piece.extra_content.google if piece.extra_content is not None else None
        if google is not None and google.thought_signature:
            call.opaque = unwrap(google.thought_signature, carrier=Dialect.OPENAI_CHAT)
        arguments = _arguments_of(function)
        if arguments:
            call.pieces.append(arguments)
        if call is self._calls[0] and call.name:
            if self._live is None:
                self._open_call(call)
            self._pass_on(call)

    def _call_of(self, piece: CallPiece, place: int) -> _Call:
        index = piece.index
        if index is None:
            index = place if piece.id or not self._calls else len(self._calls) - 1
        known = self._by_index.get(index)
        named = piece.function is not None and bool(piece.function.name)
        if known is not None and not (piece.id and piece.id != known.id and named):
            return known
        call = _Call(piece.id or self._made_id())
        self._calls.append(call)
        self._by_index[index] = call
        return call

    def _made_id(self) -> str:
        """For hosts that give none: unique in a conversation because answers have ids."""
        seed = f"{self._id}/{len(self._calls)}".encode(errors="replace")
        return f"call_{hashlib.sha256(seed).hexdigest()[:24]}"

    def _open_call(self, call: _Call) -> None:
        self._close_words()
        self._live = call
        block = ToolUse(id=call.id, name=call.name, arguments=Json(""))
        self._emit(Opened(index=self._next, block=block))

    def _pass_on(self, call: _Call) -> None:
        for json in call.pieces:
            self._emit(ArgumentsDelta(index=self._next, json=Json(json)))
        call.pieces = []

    def _close_calls(self) -> None:
        for call in self._calls:
            if not call.name:
                raise BadUpstreamMessage("a tool call without a name")
            if call is not self._live:
                self._open_call(call)
            self._pass_on(call)
            if call.opaque is not None:
                self._emit(SignatureDelta(index=self._next, opaque=call.opaque))
            self._close_block()

    def _end(self) -> list[Event]:
        if self._id is None:
            raise BadUpstreamMessage("the stream ended before it began")
        called = bool(self._calls)
        self._close_words()
        self._close_calls()
        for delta in self._later:
            self._take_words(delta)
        self._close_words()
        if self._annotations:
            self._open_words(Text)
            self._close_words()
        stop = decode_stop(self._word or "", called=called, refused=self._refused)
        self._emit(Ended(stop=stop, usage=self._usage))
        return self._drain()


def _has_words(delta: Delta) -> bool:
    thoughts = delta.reasoning_content or delta.reasoning or delta.reasoning_details
    return bool(delta.content or delta.refusal or thoughts)


def _has_state(detail: dict[str, object]) -> bool:
    return bool(detail.get("signature") or detail.get("data"))


def _content_of(content: str | list[dict[str, object]] | None) -> tuple[str, str]:
    """Thoughts and words; some hosts send an array of typed parts."""
    if content is None or isinstance(content, str):
        return "", content or ""
    thoughts = "".join(_part_text(part, "thinking") for part in content)
    return thoughts, "".join(_part_text(part, "text") for part in content)


def _part_text(part: dict[str, object], kind: str) -> str:
    value = part.get(kind)
    if isinstance(value, list):
        return "".join(_part_text(inner, "text") for inner in value if isinstance(inner, dict))
    return value if isinstance(value, str) else ""


def _arguments_of(function: FunctionPiece) -> str:
    arguments = function.arguments
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""
