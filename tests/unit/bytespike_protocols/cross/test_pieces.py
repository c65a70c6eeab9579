"""Every recorded stream, to its last byte, is the same however the network cuts it."""

from __future__ import annotations

from random import Random

import pytest

from bytespike_protocols.events import Event
from tests.unit.bytespike_protocols.cross.recordings import STREAMS, Recording, name_of


@pytest.mark.parametrize("recording", STREAMS, ids=name_of)
def test_a_stream_is_the_same_in_any_pieces(recording: Recording) -> None:
    body, whole = recording.body, recording.events()
    assert whole
    assert isinstance(whole[-1], Event)
    assert recording.events([body[i : i + 1] for i in range(len(body))]) == whole
    random = Random(recording.name)
    for cuts in (1, 7, 60):
        edges = sorted(random.randrange(len(body) + 1) for _ in range(cuts))
        pieces = [body[i:j] for i, j in zip([0, *edges], [*edges, len(body)], strict=True)]
        assert recording.events(pieces) == whole
