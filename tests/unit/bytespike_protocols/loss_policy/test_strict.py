"""Losses in the header, and as a refusal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.loss_policy import (
    DROPPED_HEADER_BYTES,
    dropped_header,
    require_lossless,
)

PATHS = st.text(max_size=60)
LOSSES = st.lists(st.builds(Loss, PATHS, st.sampled_from(["dropped", "emulated"])), max_size=200)


def test_dropped_before_emulated() -> None:
    losses = [Loss("thinking.type", "emulated"), Loss("top_k"), Loss("messages[].name")]
    assert dropped_header(losses) == "top_k, messages[].name, thinking.type (emulated)"
    assert dropped_header([]) == ""


def test_names_of_the_clients_making_stay_in_the_list() -> None:
    assert dropped_header([Loss('["a,b\r\nX-Evil: é"]')]) == '["a%2Cb%0D%0AX-Evil:%20%C3%A9"]'


@given(LOSSES)
def test_a_header_is_short_and_printable(losses: list[Loss]) -> None:
    value = dropped_header(losses)
    assert len(value.encode()) <= DROPPED_HEADER_BYTES
    assert re.fullmatch(r"[ -~]*", value)
    whole = sum(len(loss.path.encode(errors="replace")) * 3 + 13 for loss in losses)
    if whole <= DROPPED_HEADER_BYTES - 5:
        assert value.count(", ") == max(0, len(losses) - 1)


def test_what_does_not_fit_is_hinted_at() -> None:
    many = dropped_header([Loss(f"field_{index:04}") for index in range(1000)])
    assert many.startswith("field_0000, field_0001, ")
    assert re.search(r", field_\d{4}, \.\.\.$", many)
    assert len(many) > DROPPED_HEADER_BYTES - 20
    assert dropped_header([Loss("x" * 5000)]).endswith("x, ...")


def test_strict_requests_refuse_what_is_dropped() -> None:
    losses = [Loss("a", "emulated"), Loss("top_k"), Loss("b", "emulated"), Loss("messages[].name")]
    with pytest.raises(Unrepresentable) as caught:
        require_lossless(losses)
    assert caught.value.path == "top_k"
    assert "messages[].name" in caught.value.message
    assert "likewise b" not in caught.value.message


def test_strict_requests_allow_what_is_emulated() -> None:
    require_lossless([Loss("a", "emulated")])
    require_lossless([])
