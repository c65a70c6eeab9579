"""Request heads and origins: values in, bytes out."""

from __future__ import annotations

import pytest

from bytespike_runtime.http_client import Origin
from bytespike_runtime.http_client.origin import encode_head


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://a.test", Origin("http", "a.test", 80), "", "a.test"),
        ("https://A.test/v1/", Origin("https", "a.test", 443), "/v1", "a.test"),
        ("http://a.test:443", Origin("http", "a.test", 443), "", "a.test:443"),
        ("http://[::1]:8080/x", Origin("http", "::1", 8080), "/x", "[::1]:8080"),
    ],
)
def test_a_base_url_is_split(url: str, origin: Origin, path: str, authority: str) -> None:
    assert Origin.parse(url) == (origin, path)
    assert origin.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test",
        "ftp://a.test",
        "http://",
        "http://user:secret@a.test",
        "http://a.test?x=1",
        "http://a.test#x",
        "http://a.test:99999",
        "http://a.test:0",
        "http://bücher.test",
        "http://a.test/a b",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Origin.parse(url)


def test_a_head_is_one_block_of_bytes() -> None:
    head = encode_head("POST", "/v1/messages?a=b", "a.test", [("X-One", "1")], body_bytes=7)
    assert head == (
        b"POST /v1/messages?a=b HTTP/1.1\r\nhost: a.test\r\nX-One: 1\r\ncontent-length: 7\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "announced"), [("POST", True), ("GET", False)])
def test_an_empty_body_is_announced_where_one_is_expected(method: str, announced: bool) -> None:
    head = encode_head(method, "/", "a.test", [], body_bytes=0)
    assert (b"content-length: 0" in head) is announced


def test_header_bytes_survive_the_decoding_of_the_server_side() -> None:
    raw = "é".encode() + b"\xff"
    value = raw.decode("utf-8", "surrogateescape")
    assert b"x: " + raw + b"\r\n" in encode_head("GET", "/", "a", [("x", value)], body_bytes=0)


@pytest.mark.parametrize("evil", ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\r\n\r\nGET / HTTP/1.1"])
def test_nothing_can_be_injected_through_a_value(evil: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_head("GET", "/", "a.test", [("x", evil)], body_bytes=0)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a:", "a\r\nb", "é", "a\0", "host", "Content-Length", "transfer-encoding"],
)
def test_names_are_tokens_and_framing_is_ours(name: str) -> None:
    with pytest.raises(ValueError, match="header name"):
        encode_head("GET", "/", "a.test", [(name, "1")], body_bytes=0)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "no-slash"),
        ("GET", "/a b"),
        ("GET", "/a\r\nx: y"),
        ("GET", "/é"),
        ("GET", ""),
        ("GE T", "/"),
        ("GET\r\n", "/"),
        ("", "/"),
    ],
)
def test_request_lines_are_checked(method: str, target: str) -> None:
    with pytest.raises(ValueError, match="request line"):
        encode_head(method, target, "a.test", [], body_bytes=0)
