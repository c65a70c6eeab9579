"""The tap of Gemini, whose chunks are whole answers of new parts and a usage so far.

Nothing says which chunk is the last: usage may still change after the finish reason, so an answer
is finished only when its connection has ended cleanly. The last usage is kept undecoded until
somebody asks.
"""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.gemini.failure import info_failure, read_failure
from bytespike_protocols.gemini.stops import blocked, stop_of
from bytespike_protocols.gemini.stream_decode import UNSPECIFIED
from bytespike_protocols.gemini.usage import decode_usage
from bytespike_protocols.gemini.wire import Answer, AnswerPart, Candidate, WireUsage
from bytespike_protocols.ir import Stop, StopReason, Usage
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import TapState, lenient

__all__ = ["GeminiTap"]

#: The chunk nearly every chunk is: one piece of text (or thought) and the usage so far.
_PLAIN = re.compile(
    rb'\s*\{\s*"candidates"\s*:\s*\[\s*\{\s*"content"\s*:\s*\{\s*"parts"\s*:\s*\[\s*\{'
    rb'\s*"text"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*(?:,\s*"thought"\s*:\s*true\s*)?\}\s*\]'
    rb'\s*,\s*"role"\s*:\s*"model"\s*\}\s*(?:,\s*"index"\s*:\s*0\s*)?\}\s*\]'
    rb'\s*,\s*"usageMetadata"\s*:',
    re.DOTALL,
)


class _Metered(msgspec.Struct, frozen=True, rename="camel"):
    usage_metadata: WireUsage | None = None


_answers = msgspec.json.Decoder(Answer)
_parts = msgspec.json.Decoder(AnswerPart)
_metered = msgspec.json.Decoder(_Metered)


class GeminiTap(TapState):
    """Reads one answer; see ``tap.Tap``. Elements of a JSON array are frames like any other."""

    __slots__ = ("_called", "_metered", "_searches", "_stop", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._called = False
        self._stop: Stop | None = None
        self._searches: set[str] = set()
        self._usage: WireUsage | None = None
        #: The latest chunk with a usage that has not been looked at.
        self._metered = b""

    @property
    def usage(self) -> Usage | None:
        """See ``tap.Tap``. Every chunk reports what was used so far."""
        if self._metered:
            chunk = lenient(_metered, self._metered)
            self._usage = None if chunk is None else chunk.usage_metadata or self._usage
            self._metered = b""
        if self._usage is None:
            return None
        return decode_usage(self._usage, web_searches=len(self._searches))

    @property
    def usage_so_far(self) -> Usage:
        """See ``tap.Tap``."""
        return self.at_least(self.usage)

    @property
    def refused(self) -> bool:
        """See ``tap.Tap``."""
        stop = self._stop
        return stop is not None and stop.reason is StopReason.REFUSED and not self.content_seen

    def feed(self, frame: Frame) -> None:
        """See ``tap.Tap``."""
        plain = _PLAIN.match(frame.data)
        if plain is None:
            self._note(frame.data)
            return
        self.started = True
        self._metered = frame.data
        self.deliver(plain[1])

    def close(self) -> None:
        """See ``tap.Tap``."""
        self.finished = self._stop is not None and self.error is None

    def read_message(self, body: bytes) -> None:
        """See ``tap.Tap``."""
        self._note(body)
        self.close()
        if self.finished:
            return
        self.error = self.error or read_failure(200, body)
        if self.error is None:
            raise BadUpstreamMessage("the answer is neither complete nor an error")

    def _note(self, data: bytes) -> None:
        answer = lenient(_answers, data)
        if answer is None:
            if b'"error"' in data:
                self.error = self.error or read_failure(200, data)
            return
        if answer.error is not None:
            self.error = info_failure(200, answer.error)
            return
        feedback = answer.prompt_feedback
        if not (answer.candidates or feedback or answer.usage_metadata):
            return
        self.started = True
        if answer.usage_metadata is not None:
            self._usage, self._metered = answer.usage_metadata, b""
        if feedback is not None and feedback.block_reason and not answer.candidates:
            self._stop = blocked(feedback.block_reason, feedback.block_reason_message)
        for candidate in answer.candidates or ():
            self._note_candidate(candidate)

    def _note_candidate(self, candidate: Candidate) -> None:
        for raw in (candidate.content and candidate.content.parts) or ():
            part = lenient(_parts, raw)
            if part is not None:
                self._note_part(part)
        if candidate.grounding_metadata is not None and not candidate.index:
            self._searches.update(candidate.grounding_metadata.web_search_queries or ())
        reason = candidate.finish_reason
        if reason and reason != UNSPECIFIED and not candidate.index:
            self._stop = stop_of(reason, candidate.finish_message, called=self._called)

    def _note_part(self, part: AnswerPart) -> None:
        call = part.function_call
        if call is not None:
            self._called = True
            self.content_seen = True
            self.delivered_bytes += len(msgspec.json.format(bytes(call.args), indent=-1))
        elif part.text:
            self.content_seen = True
            self.delivered_bytes += len(part.text.encode())
        elif part.text is None and not part.thought_signature:
            self.content_seen = True  # a picture, code, a result: no text to count
