"""The guard lets webhooks out to public addresses and to nothing else."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_ledger.courier.guard import Guard, UrlRefused

GUARD = Guard()

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1"]
PUBLIC += ["2606:4700:4700::1111", "2a00:1450:4001::1"]
REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.8.9.10
    168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1
    192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.9 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
    :: ::1 ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::ffff:a9fe:a9fe ::8.8.8.8 64:ff9b::8.8.8.8
    64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1
    2002:7f00:1::1 2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0
    fec0::1 ff02::1 localhost 2130706433 not-an-address
""".split()  # noqa: SIM905 - a list would be a page long


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_admitted(address: str) -> None:
    assert GUARD.admits(address)


@pytest.mark.parametrize("address", REFUSED)
def test_everything_else_is_not(address: str) -> None:
    assert not GUARD.admits(address)


@given(st.integers(0, 2**32 - 1))
def test_never_wider_than_the_standard_library_in_ipv4(number: int) -> None:
    ip = ipaddress.IPv4Address(number)
    if GUARD.admits(str(ip)):
        assert ip.is_global
        assert not ip.is_multicast
        assert not ip.is_reserved


@given(st.integers(0, 2**128 - 1))
def test_never_wider_than_the_standard_library_in_ipv6(number: int) -> None:
    ip = ipaddress.IPv6Address(number)
    if GUARD.admits(str(ip)):
        assert ip.is_global
        assert ip.ipv4_mapped is None
        assert ip.sixtofour is None
        assert ip.teredo is None


def test_development_may_open_networks_and_nothing_around_them() -> None:
    guard = Guard.of(["LocalHost"], ["127.0.0.0/8", "::1/128"])
    assert guard.admits("127.0.0.1")
    assert guard.admits("::1")
    assert not guard.admits("10.0.0.1")
    assert not guard.admits("::ffff:127.0.0.1")
    assert str(guard.url("http://localhost:9999/x")) == "http://localhost:9999/x"
    with pytest.raises(UrlRefused):
        guard.url("http://example.com/")


def test_a_network_that_is_none_is_an_error_of_the_settings() -> None:
    with pytest.raises(ValueError, match="10\\.0\\.0\\.1/8"):
        Guard.of([], ["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("url", "spelt"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/a/B?c=d", "https://example.com/a/B?c=d"),
        ("https://hooks.example.com:8443/x", "https://hooks.example.com:8443/x"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700:4700::1111]/x", "https://[2606:4700:4700::1111]/x"),
    ],
)
def test_urls_in_their_one_spelling(url: str, spelt: str) -> None:
    assert str(GUARD.url(url)) == spelt


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/x",
        "http://example.com/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://:@example.com/",
        "https://example.com/#part",
        "https://example.com/#",
        "https://example.com:22/",
        "https://example.com:80/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://localhost/",
        "https://intranet/",
        "https://example.com./",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.0x1/",
        "https://017700000001/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1%25eth0]/",
        "https://exa%6dple.com/",
        "https://exam ple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\n",
        "https://ex\u00e4mple.com/",
        "https://example.com/" + "x" * 2048,
    ],
)
def test_urls_nobody_may_have(url: str) -> None:
    with pytest.raises(UrlRefused):
        GUARD.url(url)


@given(st.text(max_size=40), st.sampled_from(["", "https://", "https://[", "https://a.com:"]))
def test_any_text_is_a_url_or_refused(text: str, before: str) -> None:
    try:
        url = GUARD.url(before + text)
    except UrlRefused:
        return
    assert str(GUARD.url(str(url))) == str(url), "its one spelling is one"
    assert url.scheme == "https"
