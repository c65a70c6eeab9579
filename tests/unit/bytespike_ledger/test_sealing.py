"""Envelope encryption: what is sealed opens for its owner and purpose only, and KEKs can change."""

import base64
from dataclasses import replace

import pytest

from bytespike_ledger.sealing import (
    BrokenSeal,
    Purpose,
    Sealed,
    Sealer,
    UnknownKek,
    parse_encryption_keys,
)

OLD, NEW = {"k-old": b"o" * 32}, {"k-new": b"n" * 32}
SECRET = b"sk-byts-very-secret"


def sealed() -> Sealed:
    return Sealer(OLD).seal(Purpose.API_KEY, "key_1", SECRET)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_opens_what_was_sealed() -> None:
    assert Sealer(OLD).open(Purpose.API_KEY, "key_1", sealed()) == SECRET
    assert Sealer(OLD).open("api_key", "key_1", sealed()) == SECRET


def test_shows_nothing_and_never_the_same() -> None:
    one, other = sealed(), sealed()
    assert SECRET not in one.sealed + one.wrapped
    assert one.sealed != other.sealed
    assert one.wrapped != other.wrapped


def test_every_changed_bit_is_noticed() -> None:
    whole = sealed()
    for at in range(len(whole.sealed)):
        with pytest.raises(BrokenSeal):
            Sealer(OLD).open(
                Purpose.API_KEY, "key_1", replace(whole, sealed=flipped(whole.sealed, at))
            )
    for at in range(len(whole.wrapped)):
        with pytest.raises(BrokenSeal):
            Sealer(OLD).open(
                Purpose.API_KEY, "key_1", replace(whole, wrapped=flipped(whole.wrapped, at))
            )


@pytest.mark.parametrize("field", ["sealed", "wrapped"])
def test_every_cut_is_noticed(field: str) -> None:
    whole = sealed()
    for length in range(len(getattr(whole, field))):
        with pytest.raises(BrokenSeal):
            Sealer(OLD).open(
                Purpose.API_KEY,
                "key_1",
                replace(whole, **{field: getattr(whole, field)[:length]}),
            )


@pytest.mark.parametrize(("purpose", "owner"), [("webhook", "key_1"), ("api_key", "key_2")])
def test_another_owner_or_purpose_opens_nothing(purpose: str, owner: str) -> None:
    with pytest.raises(BrokenSeal):
        Sealer(OLD).open(purpose, owner, sealed())
    with pytest.raises(BrokenSeal):
        Sealer({**NEW, **OLD}).rewrap(purpose, owner, sealed())


def test_parts_of_two_secrets_do_not_mix() -> None:
    one, other = sealed(), sealed()
    with pytest.raises(BrokenSeal):
        Sealer(OLD).open(Purpose.API_KEY, "key_1", replace(one, wrapped=other.wrapped))


def test_key_of_another_id_is_unknown_and_another_key_of_the_id_breaks() -> None:
    with pytest.raises(UnknownKek, match="k-old"):
        Sealer(NEW).open(Purpose.API_KEY, "key_1", sealed())
    with pytest.raises(BrokenSeal):
        Sealer({"k-old": b"x" * 32}).open(Purpose.API_KEY, "key_1", sealed())
    both = Sealer({"k-old": b"o" * 32, "k-other": b"o" * 32})
    with pytest.raises(BrokenSeal):  # the id is part of what the wrapping is bound to
        both.open(Purpose.API_KEY, "key_1", replace(sealed(), kek_id="k-other"))


def test_keys_change_without_touching_the_sealed_text() -> None:
    before = sealed()
    after = Sealer({**NEW, **OLD}).rewrap(Purpose.API_KEY, "key_1", before)
    assert (after.kek_id, after.sealed) == ("k-new", before.sealed)
    assert after.wrapped != before.wrapped
    assert Sealer(NEW).open(Purpose.API_KEY, "key_1", after) == SECRET
    with pytest.raises(UnknownKek):
        Sealer(OLD).open(Purpose.API_KEY, "key_1", after)


def test_the_first_key_seals() -> None:
    assert Sealer({**NEW, **OLD}).seal(Purpose.WEBHOOK, "whk_1", b"s").kek_id == "k-new"


def test_without_keys_nothing_is_sealed() -> None:
    assert not Sealer({}).enabled
    with pytest.raises(RuntimeError, match="no encryption key"):
        Sealer({}).seal(Purpose.API_KEY, "key_1", SECRET)


def test_keys_are_read_in_order() -> None:
    one, two = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    assert list(parse_encryption_keys(f"b:{two}, a:{one}")) == ["b", "a"]
    assert parse_encryption_keys(f"a:{one}") == {"a": b"\x01" * 32}
    assert parse_encryption_keys("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "key 1 is not id:base64"),
        (":AAAA", "key 1 is not id:base64"),
        ("a b:AAAA", "key 1 is not id:base64"),
        ("a:%%%%", r"key 1 \(a\) is not base64"),
        ("a:" + base64.b64encode(b"short").decode(), "has 5 bytes instead of 32"),
        ("a:" + base64.b64encode(b"z" * 32).decode() + ",", "key 2 is not id:base64"),
        (",".join(["a:" + base64.b64encode(b"z" * 32).decode()] * 2), "repeats the id 'a'"),
        (
            ",".join(f"a{n}:" + base64.b64encode(b"z" * 32).decode() for n in range(17)),
            "more than 16",
        ),
    ],
)
def test_nonsense_is_named_without_showing_keys(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        parse_encryption_keys(text)
    assert base64.b64encode(b"z" * 32).decode() not in str(raised.value)
