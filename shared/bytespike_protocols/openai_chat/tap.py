"""The tap of Chat Completions, whichever host speaks it."""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import StopReason, Usage
from bytespike_protocols.openai_chat.failure import UNREADABLE, read_failure
from bytespike_protocols.openai_chat.stops import decode_stop
from bytespike_protocols.openai_chat.stream_decode import DONE
from bytespike_protocols.openai_chat.usage import decode_usage
from bytespike_protocols.openai_chat.wire import WireUsage
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import TapState, lenient

__all__ = ["ChatTap"]

# The chunk nearly every chunk is, from its first byte to its last: one piece of words or thoughts
# among plain fields, no end, no usage. What stands before the piece is the same in all of them.
_FIELD = rb'\s*"[^"\\]*+"\s*:\s*(?:null|"[^"\\]*+"|[0-9.]++)\s*'
_NULL = rb'\s*"[^"\\]*+"\s*:\s*null\s*'
_OPENING = re.compile(
    rb"\s*\{(?:" + _FIELD + rb',)*+\s*"choices"\s*:\s*\[\s*\{(?:\s*"index"\s*:\s*0\s*,)?'
    rb'\s*"delta"\s*:\s*\{(?:\s*"role"\s*:\s*"assistant"\s*,)?(?:' + _NULL + rb",)*+"
    rb'\s*"(?:content|reasoning_content)"\s*:\s*"'
)
#: Begins no chunk.
_NOTHING = b"\0"
_PIECE = re.compile(
    rb'([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*(?:,' + _NULL + rb")*+\}(?:\s*," + _NULL + rb")*+\}\s*\]"
    rb"(?:\s*," + _FIELD + rb")*+\}",
    re.DOTALL,
)

# Inside a JSON string every quote is escaped, so no name here can be imitated by content.
_TEXT = rb'\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_WORDS = re.compile(rb'"content"' + _TEXT, re.DOTALL)
_ARGUMENTS = re.compile(rb'"arguments"' + _TEXT, re.DOTALL)
#: Some hosts give the same thoughts under two names, and once more in details: one is counted.
_THOUGHTS = re.compile(rb'"reasoning(?:_content)?"' + _TEXT, re.DOTALL)
_REFUSAL = re.compile(rb'"refusal"' + _TEXT, re.DOTALL)
#: Text in typed parts, as some hosts send it.
_PARTS = re.compile(rb'"(?:content|thinking)"\s*:\s*\[')
_PART_TEXT = re.compile(rb'"text"' + _TEXT, re.DOTALL)
_CALLS = re.compile(rb'"(?:tool_calls|function_call)"\s*:\s*(?:\[\s*)?\{')
#: Content that has no words of its own: thoughts that may not be shown, sound.
_DETAILS = re.compile(rb'"reasoning_details"\s*:\s*\[\s*\{')
_AUDIO = re.compile(rb'"audio"\s*:\s*\{')
#: What nearly every chunk says of its end and its usage.
_GOES_ON = re.compile(rb'"finish_reason"\s*:\s*(?:null|"")')
_NO_USAGE = re.compile(rb'"usage"\s*:\s*null')


class _Choice(msgspec.Struct, frozen=True):
    """How a choice ends, and in a whole answer what it holds."""

    finish_reason: str | None = None
    message: msgspec.Raw = msgspec.Raw(b"null")


class _Chunk(msgspec.Struct, frozen=True):
    """A chunk or a whole answer as a tap sees it."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_chunks = msgspec.json.Decoder(_Chunk)
_usages = msgspec.json.Decoder(WireUsage | None)


class ChatTap(TapState):
    """Reads one answer; see ``tap.Tap``. Hosts without ``[DONE]`` end with the connection."""

    __slots__ = ("_called", "_opening", "_refusal", "_usage", "_word")

    def __init__(self) -> None:
        super().__init__()
        self._word: str | None = None
        self._refusal = False
        self._called = False
        self._usage: Usage | None = None
        self._opening = _NOTHING

    @property
    def usage(self) -> Usage | None:
        """See ``tap.Tap``. Some hosts report it in every chunk."""
        return self._usage

    @property
    def usage_so_far(self) -> Usage:
        """See ``tap.Tap``."""
        return self.at_least(self._usage)

    @property
    def refused(self) -> bool:
        """See ``tap.Tap``. The words of a refusal are not content."""
        stop = decode_stop(self._word or "", called=self._called, refused=self._refusal)
        return stop.reason is StopReason.REFUSED and not self.content_seen

    def feed(self, frame: Frame) -> None:
        """See ``tap.Tap``."""
        data = frame.data
        opening = self._opening
        if not data.startswith(opening):
            found = _OPENING.match(data)
            opening = self._opening = _NOTHING if found is None else found[0]
        piece = _PIECE.match(data, len(opening)) if opening is not _NOTHING else None
        if piece is not None:
            self.started = True
            self.deliver(piece[1])
            return
        if data.startswith(b"[") and data.strip() == DONE:
            self.finished = self.error is None
            return
        if frame.event == b"error":
            self.error = read_failure(200, data) or UNREADABLE
            return
        if (
            _GOES_ON.search(data) is None
            or (b'"usage"' in data and _NO_USAGE.search(data) is None)
            or b'"error"' in data
        ) and not self._note_chunk(data):
            return
        self.started = True
        self._note_delta(data)

    def close(self) -> None:
        """See ``tap.Tap``."""
        if self._word is not None and self.error is None:
            self.finished = True

    def read_message(self, body: bytes) -> None:
        """See ``tap.Tap``."""
        chunk = lenient(_chunks, body)
        if chunk is None or not chunk.choices or _is_error(chunk):
            self.error = read_failure(200, body)
            if self.error is None:
                raise BadUpstreamMessage("the answer is neither a completion nor an error")
            return
        self.started = self.finished = True
        self._note_end(chunk)
        for choice in chunk.choices:
            self._note_delta(bytes(choice.message))

    def _note_chunk(self, data: bytes) -> bool:
        """Take note of what only a few chunks have; whether the chunk belongs to an answer."""
        chunk = lenient(_chunks, data)
        if chunk is None:
            return False
        if _is_error(chunk):
            self.error = read_failure(200, data) or UNREADABLE
            return False
        self._note_end(chunk)
        return chunk.choices is not None

    def _note_end(self, chunk: _Chunk) -> None:
        for choice in chunk.choices or ():
            self._word = choice.finish_reason or self._word
        self._usage = decode_usage(lenient(_usages, chunk.usage)) or self._usage

    def _note_delta(self, data: bytes) -> None:
        if b'"url_citation"' in data:
            self.content_seen = True  # some hosts quote the pages: not the model's words
            return
        for text in _WORDS.findall(data):
            self.deliver(text)
        if b'"tool_calls"' in data or b'"function_call"' in data:
            self._note_calls(data)
        if b'"reasoning' in data:
            self._note_thoughts(data)
        if b'"refusal"' in data:
            refusal = _REFUSAL.search(data)
            if refusal is not None and refusal[1]:
                self._refusal = True
                self.measure(refusal[1])
        if b'"text"' in data and _PARTS.search(data) is not None:
            for text in _PART_TEXT.findall(data):
                self.deliver(text)
        if b'"audio"' in data and _AUDIO.search(data) is not None:
            self.content_seen = True

    def _note_calls(self, data: bytes) -> None:
        if _CALLS.search(data) is not None:
            self.content_seen = self._called = True
            for text in _ARGUMENTS.findall(data):
                self.measure(text)

    def _note_thoughts(self, data: bytes) -> None:
        thoughts = _THOUGHTS.search(data)
        if thoughts is not None:
            self.deliver(thoughts[1])
        if _DETAILS.search(data) is not None:
            self.content_seen = True


def _is_error(chunk: _Chunk) -> bool:
    return bytes(chunk.error) not in (b"null", b"false", b'""', b"{}")
