"""Replacing a value changes that value and nothing else, for any object anybody may write."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.splice import replace_span, shallow, shallow_at

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BLANK = st.text(alphabet=" \t\r\n", max_size=3)


@st.composite
def written_keys(draw: st.DrawFn, key: str) -> str:
    """One of the many spellings of a key."""
    if draw(st.booleans()):
        return json.dumps(key, ensure_ascii=draw(st.booleans()))
    return '"' + "".join(f"\\u{ord(char):04x}" for char in key if ord(char) < 0x10000) + '"'


@st.composite
def members(draw: st.DrawFn, key: str) -> str:
    value = json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()))
    blanks = [draw(BLANK) for _ in range(4)]
    return f"{blanks[0]}{draw(written_keys(key))}{blanks[1]}:{blanks[2]}{value}{blanks[3]}"


KEYS = st.lists(
    st.text(st.characters(max_codepoint=0xD7FF), max_size=8), unique=True, max_size=6
).map(lambda keys: [*keys, "model"] if "model" not in keys else keys)


@st.composite
def objects(draw: st.DrawFn, keys: list[str]) -> bytes:
    body = ",".join(draw(members(key)) for key in keys)
    return f"{draw(BLANK)}{{{body}}}{draw(BLANK)}".encode("utf-8", "surrogatepass")


@given(data=st.data(), keys=KEYS)
def test_only_the_value_changes(data: st.DataObject, keys: list[str]) -> None:
    body = data.draw(objects(keys))
    before = {name: bytes(raw) for name, raw in shallow(body).items()}
    assert list(before) == keys
    _, span = shallow_at(body, "model")
    assert body[slice(*span)] == before["model"]
    changed = replace_span(body, span, b'"new"')
    after = {name: bytes(raw) for name, raw in shallow(changed).items()}
    assert after == {**before, "model": b'"new"'}
    # Putting the old value back gives the old bytes: nothing around it has moved.
    _, span = shallow_at(changed, "model")
    assert replace_span(changed, span, before["model"]) == body


@given(data=st.data(), keys=KEYS)
def test_a_key_spelt_twice_is_always_refused(data: st.DataObject, keys: list[str]) -> None:
    place = data.draw(st.integers(0, len(keys)))
    repeated = data.draw(st.sampled_from(keys))
    body = data.draw(objects([*keys[:place], repeated, *keys[place:]]))
    with pytest.raises(BadClientMessage, match="repeats"):
        shallow(body)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        fields = shallow(body)
    except BadClientMessage:
        return
    assert all(isinstance(raw, msgspec.Raw) for raw in fields.values())
