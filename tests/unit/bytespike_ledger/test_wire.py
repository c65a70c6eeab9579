"""Amounts, times and bodies on the wire: exact, bounded, and clear about what is wrong."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
import pytest

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.key_rules import normalise_networks
from bytespike_ledger.api.key_wire import KeyChanges, KeyRequest
from bytespike_ledger.api.orgs import OrgRequest
from bytespike_ledger.api.wire import (
    PageQuery,
    Usd,
    decode,
    decode_query,
    encode,
    read_usd,
    timestamp,
)


def refused(error: pytest.ExceptionInfo[GatewayError]) -> tuple[ErrorCode, str | None]:
    return error.value.code, error.value.param


@pytest.mark.parametrize(
    ("text", "amount_uusd"),
    [
        ("0", 0),
        ("12.5", 12_500_000),
        ('"12.50"', 12_500_000),
        ("0.000001", 1),
        # Floats would make 0.1 + 0.2 of these.
        ("0.3", 300_000),
        ("9007199254.740991", 2**53 - 1),
    ],
)
def test_amounts_are_read_by_their_digits(text: str, amount_uusd: int) -> None:
    assert read_usd(msgspec.Raw(text.encode()), param="usd") == amount_uusd


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "1e3",
        "0.0000001",
        "9007199254.740992",
        '"NaN"',
        '""',
        '"1,5"',
        "null",
        "true",
        "[1]",
        "9" * 5000,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(GatewayError) as error:
        read_usd(msgspec.Raw(text.encode()), param="quota")
    assert refused(error) == (ErrorCode.INVALID_REQUEST, "quota")


def test_a_top_up_of_nothing_is_refused() -> None:
    with pytest.raises(GatewayError):
        read_usd(msgspec.Raw(b"0"), param="usd", least_uusd=1)


def test_amounts_leave_as_numbers_with_exact_digits() -> None:
    body = encode({"a": Usd(192_400_000), "b": Usd(18), "c": Usd(0)})
    assert body == b'{"a":192.40,"b":0.000018,"c":0.00}'


def test_times_are_utc_with_milliseconds() -> None:
    assert timestamp(1_795_420_389_007) == "2026-11-23T07:53:09.007Z"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"name": 3}', "name"),
        (b"{}", None),
        (b'{"name": "a", "nope": 1}', None),
        (b'{"name": ""}', "name"),
        (b'{"name": "a", "tier": "gold"}', "tier"),
        (b'{"name": "a", "concurrency": 0}', "concurrency"),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_bad_body_names_its_path(body: bytes, param: str | None) -> None:
    with pytest.raises(GatewayError) as error:
        decode(body, OrgRequest)
    assert refused(error) == (ErrorCode.INVALID_REQUEST, param)


def test_a_path_inside_a_list_is_named() -> None:
    with pytest.raises(GatewayError) as error:
        decode(b'{"name": "k", "scopes": ["inference", "root"]}', KeyRequest)
    assert refused(error) == (ErrorCode.INVALID_REQUEST, "scopes[1]")


def test_left_out_and_null_are_different_changes() -> None:
    assert decode(b"{}", KeyChanges).expires_in_days is msgspec.UNSET
    assert decode(b'{"expires_in_days": null}', KeyChanges).expires_in_days is None


def test_networks_are_written_one_way() -> None:
    texts = ["10.1.2.3", "10.1.2.3/8", " ::1 ", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "::1/128"]
    assert normalise_networks(texts, param="ip_allow") == [
        "10.1.2.3/32",
        "10.0.0.0/8",
        "::1/128",
        "10.0.0.1/32",
    ]


@pytest.mark.parametrize("text", ["10.0.0.0/33", "example.com", "", "10.0.0.1-10.0.0.9"])
def test_what_is_no_network_is_refused_by_its_index(text: str) -> None:
    with pytest.raises(GatewayError) as error:
        normalise_networks(["10.0.0.0/8", text], param="ip_deny")
    assert refused(error) == (ErrorCode.INVALID_REQUEST, "ip_deny[1]")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "ten", "", "٣", "9" * 30])
def test_a_page_size_out_of_bounds_is_refused(limit: str) -> None:
    with pytest.raises(GatewayError) as error:
        decode_query(f"limit={quote(limit)}", PageQuery)
    assert refused(error) == (ErrorCode.INVALID_REQUEST, "limit")
