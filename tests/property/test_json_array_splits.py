"""An array of objects comes apart the same however the network cuts it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.json_array import ArraySplitter

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=3), max_size=4)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def split(pieces: list[bytes]) -> tuple[list[Any], bool]:
    splitter = ArraySplitter()
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    return [json.loads(frame.data) for frame in frames], splitter.ended


@given(
    objects=OBJECTS,
    indent=st.none() | st.just(2),
    ascii_only=st.booleans(),
    places=st.lists(st.integers(0, 10_000), max_size=20),
)
def test_any_cut_gives_the_elements(
    objects: list[Any], indent: int | None, ascii_only: bool, places: list[int]
) -> None:
    data = json.dumps(objects, indent=indent, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )
    assert split(cut(data, places)) == (objects, True)
    assert split([data[at : at + 1] for at in range(len(data))]) == (objects, True)


@given(objects=OBJECTS, place=st.integers(0, 10_000))
def test_an_element_of_ours_fits_at_every_boundary(objects: list[Any], place: int) -> None:
    data = json.dumps(objects).encode()
    head = data[: place % (len(data) + 1)]
    splitter = ArraySplitter()
    whole = [json.loads(frame.data) for frame in splitter.feed(head)]
    if splitter.at_boundary:
        assert json.loads(head + splitter.last_element(b'{"error":1}')) == [*whole, {"error": 1}]


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"[", b"{", b'"', b"\\", b"}", b"]"])))
def test_no_bytes_break_it_but_in_the_one_way(pieces: list[bytes]) -> None:
    splitter = ArraySplitter(limit_bytes=40)
    try:
        for piece in pieces:
            splitter.feed(piece)
    except BadUpstreamMessage:
        return
    splitter.close()
    assert splitter.feed(b" ") == []


@pytest.mark.parametrize(
    "data", [b"words", b"[1]", b'["a"]', b"[{}{}]", b"[,{}]", b"[{},]", b"[{}]]", b"{}{}", b"<"]
)
def test_what_is_no_array_of_objects_is_the_vendors_fault(data: bytes) -> None:
    with pytest.raises(BadUpstreamMessage):
        ArraySplitter().feed(data)


def test_an_error_may_come_instead_of_the_array() -> None:
    assert split([b' {"error"', b': {"code": 503}} \n']) == ([{"error": {"code": 503}}], False)


def test_an_element_has_a_limit() -> None:
    splitter = ArraySplitter(limit_bytes=20)
    assert len(splitter.feed(b'[{"a": "' + b"x" * 10 + b'"}')) == 1
    with pytest.raises(BadUpstreamMessage, match="more than 20 bytes"):
        splitter.feed(b',{"a": "' + b"x" * 20)
