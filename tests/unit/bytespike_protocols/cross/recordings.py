"""Every recorded stream and whole answer of the four dialects, and our own goldens, as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Event, Failed, StreamGuard
from bytespike_protocols.ir import Dialect, Response
from bytespike_protocols.sse import FrameSplitter
from tests.support import anthropic_corpus, chat_corpus, gemini_corpus, responses_corpus

__all__ = ["ANSWERS", "STREAMS", "Recording", "name_of", "targets"]

#: Background answers that were fetched before they were ready.
_UNFINISHED = {"oar-cc46ea97c3-00", "oar-cc46ea97c3-02"}


class Recording(NamedTuple):
    """One answer of a vendor: the bytes of its stream or of its body."""

    vendor: Dialect
    name: str
    body: bytes

    def events(self, pieces: Sequence[bytes] = ()) -> list[Event]:
        """The stream as it came in these pieces, at once if there are none. One that breaks off
        ends in a failure, as it does for the client.
        """
        splitter, decoder = FrameSplitter(), CODECS[self.vendor].stream_decoder()
        guard = StreamGuard("upstream")
        events: list[Event] = []

        def take(found: list[Event]) -> None:
            for event in found:
                guard.check(event)
                events.append(event)

        try:
            for piece in pieces or (self.body,):
                for frame in splitter.feed(piece):
                    take(decoder.feed(frame))
            last = splitter.close()
            if last is not None:
                take(decoder.feed(last))
            take(decoder.close())
        except BadUpstreamMessage as error:
            events.append(Failed(kind="internal", message=error.args[0]))
        return events

    def response(self) -> Response:
        """The whole answer."""
        return CODECS[self.vendor].decode_response(self.body)


def name_of(recording: Recording) -> str:
    """For a test's id."""
    return f"{recording.vendor}-{recording.name}"


def targets(recording: Recording) -> list[Dialect]:
    """The dialects it must be translated to."""
    return [dialect for dialect in Dialect if dialect is not recording.vendor]


def _streams() -> Iterator[Recording]:
    for message in anthropic_corpus.CASES:
        if message.stream is not None:
            yield Recording(Dialect.ANTHROPIC, message.name, message.stream)
    for completion in chat_corpus.streams():
        yield Recording(Dialect.OPENAI_CHAT, completion.id, (completion.sse or "").encode())
    for response in responses_corpus.CASES:
        if response.sse and response.status == 200:
            yield Recording(Dialect.OPENAI_RESPONSES, response.id, response.sse)
    for content in gemini_corpus.streams():
        yield Recording(Dialect.GEMINI, content.id, (content.sse or "").encode())
    for content in gemini_corpus.answers():
        if isinstance(content.body, list):
            frames = b"".join(b"data: %b\r\n\r\n" % frame.data for frame in content.frames())
            yield Recording(Dialect.GEMINI, content.id, frames)


def _answers() -> Iterator[Recording]:
    for message in anthropic_corpus.CASES:
        if message.status < 400 and message.body and not message.counts_tokens:
            yield Recording(Dialect.ANTHROPIC, message.name, _written(message.body))
    for completion in chat_corpus.answers():
        yield Recording(Dialect.OPENAI_CHAT, completion.id, _written(completion.body))
    for response in responses_corpus.CASES:
        if response.answer and response.status == 200 and response.id not in _UNFINISHED:
            yield Recording(Dialect.OPENAI_RESPONSES, response.id, response.answer)
    for content in gemini_corpus.answers():
        if not isinstance(content.body, list):
            yield Recording(Dialect.GEMINI, content.id, _written(content.body))


def _written(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


STREAMS = list(_streams())
ANSWERS = list(_answers())
