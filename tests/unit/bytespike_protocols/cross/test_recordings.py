"""What the other tests here are about is there, and is what it is taken for."""

from __future__ import annotations

from collections import Counter

import pytest

from bytespike_protocols.events import Failed
from bytespike_protocols.ir import Dialect
from tests.support.chat_corpus import RECORDINGS
from tests.unit.bytespike_protocols.cross.recordings import ANSWERS, STREAMS

#: Streams that end in the vendor's error, or were cut, spliced or otherwise broken on purpose.
FAILURES = {
    "ant-260f6893d0-00",
    "ant-49b49fa00b-00",
    "ant-5a7138e0a0-00",
    "ant-a4e11de8bd-00",
    "ant-db086e236e-00",
    "gem-76ca03b61f-00",
    "gem-7cb07e22fc-00",
    "gem-94fda82f94-00",
    "gem-d89552fe71-00",
    "gem-f893b64708-00",
    "oac-bc6447f83e-00",
    "oar-046be7fe4f-00",
    "oar-2685d719e4-00",
    "oar-6dbf9b7b17-00",
    "own-failed",
    "own-stream-cut",
    "own-stream-error",
}


def test_every_dialect_has_goldens_in_both_forms() -> None:
    for recordings in (STREAMS, ANSWERS):
        goldens = [one.vendor for one in recordings if one.name.startswith("own-")]
        assert set(goldens) == set(Dialect)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded exchanges are not here")
def test_the_recordings_are_all_here() -> None:
    counts = [
        Counter(one.vendor for one in found if not one.name.startswith("own-"))
        for found in (STREAMS, ANSWERS)
    ]
    assert [[count[dialect] for dialect in Dialect] for count in counts] == [
        [87, 50, 74, 74],
        [96, 76, 87, 85],
    ]


def test_only_broken_streams_are_told_as_failures() -> None:
    failed = {one.name for one in STREAMS if isinstance(one.events()[-1], Failed)}
    assert failed == FAILURES & {one.name for one in STREAMS}
