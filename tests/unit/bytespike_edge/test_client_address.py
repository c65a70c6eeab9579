"""Header chains against trusted hops, and addresses against rules."""

from __future__ import annotations

import pytest

from bytespike_edge.client_address import IpRules, client_address


@pytest.mark.parametrize(
    ("forwarded", "hops", "found"),
    [
        ([], 0, "peer"),
        (["1.1.1.1"], 0, "peer"),
        (["1.1.1.1"], 1, "1.1.1.1"),
        (["9.9.9.9, 1.1.1.1"], 1, "1.1.1.1"),
        (["9.9.9.9, 1.1.1.1 ,2.2.2.2"], 2, "1.1.1.1"),
        (["9.9.9.9", "1.1.1.1"], 2, "9.9.9.9"),
        (["1.1.1.1"], 2, None),
        ([], 1, ""),
    ],
)
def test_the_address_behind_the_hops(forwarded: list[str], hops: int, found: str | None) -> None:
    assert client_address("peer", forwarded, trusted_hops=hops) == found


@pytest.mark.parametrize(
    ("allow", "deny", "address", "permitted"),
    [
        (["10.0.0.0/8"], [], "10.1.2.3", True),
        (["10.0.0.0/8"], [], "11.1.2.3", False),
        (["10.0.0.0/8"], ["10.1.0.0/16"], "10.1.2.3", False),
        ([], ["10.1.0.0/16"], "10.1.2.3", False),
        ([], ["10.1.0.0/16"], "10.2.2.3", True),
        (["10.0.0.0/8"], [], "::ffff:10.1.2.3", True),
        ([], ["10.0.0.0/8"], "::ffff:10.1.2.3", False),
        (["::ffff:10.0.0.0/104"], [], "10.1.2.3", True),
        (["2001:db8::/32"], [], "2001:db8::1", True),
        (["2001:db8::/32"], [], "[2001:db8::1]:443", True),
        (["2001:db8::/32"], [], "2001:db8::1%eth0", True),
        (["2001:db8::/32"], [], "10.1.2.3", False),
        (["10.0.0.0/8"], [], "10.1.2.3:5000", True),
        (["0.0.0.0/0", "::/0"], [], "10.1.2.3.4", False),
        ([], ["10.0.0.0/8"], "unknown", False),
        ([], ["10.0.0.0/8"], "", False),
        ([], ["10.0.0.0/8"], None, False),
    ],
)
def test_rules(allow: list[str], deny: list[str], address: str | None, permitted: bool) -> None:
    assert IpRules(allow, deny).permits(address) is permitted


def test_a_rule_that_cannot_be_read_is_not_ignored() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        IpRules(["10.0.0.0/8", "everyone"], [])
