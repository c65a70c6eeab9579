"""The bench's vendor must be believed: answers whose usage nobody reads would be free of charge and
cheaper than real ones.
"""

from __future__ import annotations

import pytest

from bytespike_protocols.dialects import CODECS
from bytespike_protocols.events import StreamGuard
from bytespike_protocols.ir import Dialect
from bytespike_protocols.sse import FrameSplitter
from tests.bench.canned import CANNED, INPUT_TOKENS, OUTPUT_TOKENS


@pytest.mark.parametrize("dialect", Dialect)
def test_whole_answers_are_read_with_their_usage(dialect: Dialect) -> None:
    tap = CODECS[dialect].tap()
    tap.read_message(CANNED[dialect].whole)
    assert tap.finished
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)


@pytest.mark.parametrize("dialect", Dialect)
def test_streams_are_read_with_their_usage_and_keep_the_grammar(dialect: Dialect) -> None:
    canned, codec = CANNED[dialect], CODECS[dialect]
    chunks = (*canned.opening, canned.delta, canned.delta, *canned.closing)
    frames = FrameSplitter(1 << 20).feed(b"".join(chunks))
    assert len(frames) == canned.frame_events + 2

    tap, decoder, guard = codec.tap(), codec.stream_decoder(), StreamGuard("upstream")
    for frame in frames:
        tap.feed(frame)
        for event in decoder.feed(frame):
            guard.check(event)
    tap.close()
    for event in decoder.close():
        guard.check(event)
    assert guard.over
    assert tap.finished
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
