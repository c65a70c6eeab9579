"""Every recorded whole answer, told to the clients of the other dialects, whole and streamed."""

from __future__ import annotations

import pytest

from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.folding import unfold
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
from tests.unit.bytespike_protocols.cross.recordings import ANSWERS, Recording, name_of, targets


@pytest.mark.parametrize("recording", ANSWERS, ids=name_of)
def test_an_answer_says_the_same_to_every_other_client(recording: Recording) -> None:
    response = recording.response()
    for target in targets(recording):
        codec, reader = CODECS[target], READERS[target]
        if is_failure(response.stop, target):
            with pytest.raises(BadUpstreamMessage):
                codec.encode_response(response, context_for(target))
            continue
        said = reader.whole(codec.encode_response(response, context_for(target))).said
        assert said == own_ids(meant(response, target, streamed=False), said)


@pytest.mark.parametrize("recording", ANSWERS, ids=name_of)
def test_an_answer_streamed_says_the_same_to_every_other_client(recording: Recording) -> None:
    response = recording.response()
    for target in targets(recording):
        stream = b"".join(streamed(unfold(response), target))
        if is_failure(response.stop, target):
            assert ending_of(stream, target) == "error"
            with pytest.raises(SDK_ERRORS[target]):
                READERS[target].stream(stream)
            continue
        wanted = meant(response, target, streamed=True)
        assert ending_of(stream, target) == ("error" if wanted.stop == "failed" else "answer")
        reading = READERS[target].stream(stream)
        assert reading.said == own_ids(wanted, reading.said)
        if not (target is Dialect.ANTHROPIC and is_cut(response)):
            whole = CODECS[target].encode_response(response, context_for(target))
            assert reading == READERS[target].whole(whole)
