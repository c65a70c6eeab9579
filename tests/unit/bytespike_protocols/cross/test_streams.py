"""Every recorded stream, told to the clients of the three other dialects."""

from __future__ import annotations

import json
import re

import pytest

from bytespike_protocols.dialects import CODECS
from bytespike_protocols.events import Ended, Event, Failed
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Dialect
from tests.unit.bytespike_protocols.cross.clients import context_for, streamed
from tests.unit.bytespike_protocols.cross.grammars import ending_of
from tests.unit.bytespike_protocols.cross.meaning import (
    is_cut,
    is_failure,
    meant,
    own_ids,
)
from tests.unit.bytespike_protocols.cross.readers import READERS, SDK_ERRORS
from tests.unit.bytespike_protocols.cross.recordings import STREAMS, Recording, name_of, targets


def fails(last: Event, target: Dialect) -> bool:
    return not isinstance(last, Ended) or is_failure(last.stop, target)


def words_of(last: Event) -> str:
    """What the vendor said of its failure, as a pattern."""
    return re.escape(last.message) if isinstance(last, Failed) else r"\w"


@pytest.mark.parametrize("recording", STREAMS, ids=name_of)
def test_a_stream_says_the_same_to_every_other_client(recording: Recording) -> None:
    events = recording.events()
    for target in targets(recording):
        stream = b"".join(streamed(events, target))
        if fails(events[-1], target):
            assert ending_of(stream, target) == "error"
            with pytest.raises(SDK_ERRORS[target], match=words_of(events[-1])):
                READERS[target].stream(stream)
            continue
        wanted = meant(fold(events), target, streamed=True)
        assert ending_of(stream, target) == ("error" if wanted.stop == "failed" else "answer")
        said = READERS[target].stream(stream).said
        assert said == own_ids(wanted, said)


@pytest.mark.parametrize("recording", STREAMS, ids=name_of)
def test_a_stream_and_the_whole_of_it_are_one_answer(recording: Recording) -> None:
    """The client gathers from the stream what it would have read at once, state and sources too."""
    events = recording.events()
    for target in targets(recording):
        if fails(events[-1], target):
            continue
        response = fold(events)
        if target is Dialect.ANTHROPIC and is_cut(response):
            continue
        whole = CODECS[target].encode_response(response, context_for(target))
        stream = b"".join(streamed(events, target))
        assert READERS[target].stream(stream) == READERS[target].whole(whole)


@pytest.mark.parametrize(
    "recording", [one for one in STREAMS if one.vendor is not Dialect.GEMINI], ids=name_of
)
def test_an_array_has_the_elements_of_the_stream(recording: Recording) -> None:
    """Gemini's other framing is one JSON array of what are events in the first."""
    events = recording.events()
    chunks = b"".join(streamed(events, Dialect.GEMINI)).split(b"\r\n\r\n")
    assert chunks.pop() == b""
    array = b"".join(streamed(events, Dialect.GEMINI, "array"))
    assert json.loads(array) == [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks]
