"""No webhook reaches what is not public, however its name is made to resolve."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509

from bytespike_ledger.courier.guard import Guard
from bytespike_ledger.courier.results import Result
from bytespike_ledger.courier.sender import Lookup, Parcel, Sender
from tests.support.certificates import certificate
from tests.support.receiver import receiver

NAME = "hooks.example.test"
#: Only 127.0.0.1 is "public" here, and the rest of loopback plays the inner network.
ONLY_ONE = Guard.of([NAME], ["127.0.0.1/32"])


class Names:
    """A name server whose answers a test writes down; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        assert host == NAME
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def parcel(url: str) -> Parcel:
    return Parcel(
        url=url, secret="s" * 32, message_id="evt_1", timestamp_s=1_700_000_000, payload=b"{}"
    )


async def send(url: str, lookup: Lookup, *, guard: Guard = ONLY_ONE) -> tuple[Result, str | None]:
    async with Sender(guard, lookup=lookup) as sender:
        attempt = await sender.send(parcel(url))
        return attempt.result, attempt.error


async def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with receiver(host="0.0.0.0") as server:
        result, _ = await send(f"http://{NAME}:{server.port}/", names)
        assert (result, names.asked, len(server.calls)) == (Result.DELIVERED, 1, 1)
        assert server.calls[0].headers["host"] == f"{NAME}:{server.port}"


async def test_a_name_that_changes_its_mind_is_judged_anew_each_time() -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with (
        receiver(host="0.0.0.0") as server,
        Sender(ONLY_ONE, lookup=names) as sender,
    ):
        url = f"http://{NAME}:{server.port}/"
        results = [(await sender.send(parcel(url))).result for _ in range(2)]
        assert results == [Result.DELIVERED, Result.REFUSED]
        assert len(server.calls) == 1, "neither cached nor reused"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["127.0.0.1", "127.0.0.2"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["8.8.8.8", "::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%lo"],
        ["64:ff9b::7f00:1"],
    ],
)
async def test_one_address_that_is_not_public_spoils_the_name(addresses: list[str]) -> None:
    async with receiver(host="0.0.0.0") as server:
        result, error = await send(f"http://{NAME}:{server.port}/", Names(addresses))
        assert result is Result.REFUSED
        assert not result.retried
        assert server.calls == []
    assert error == "the host has an address that is not a public one"


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "127.1", "2130706434", "0x7f.0.0.2"])
async def test_addresses_in_urls_pass_the_same_guard(host: str) -> None:
    async with receiver(host="0.0.0.0") as server:
        for scheme in ("http", "https"):
            result, _ = await send(f"{scheme}://{host}:{server.port}/", Names(["127.0.0.1"]))
            assert result is Result.REFUSED
        assert server.calls == []


async def test_the_last_gate_holds_where_the_url_was_let_through() -> None:
    guard = Guard.of(["127.0.0.2"], ["127.0.0.1/32"])

    class Blind(Guard):
        """Lets every address through by name, as a defect in the first check would."""

        def url(self, text: str) -> object:  # type: ignore[override]
            return text

    blind = Blind(guard.http_hosts, guard.allowed_networks)
    async with receiver(host="0.0.0.0") as server:
        result, _ = await send(
            f"http://127.0.0.2:{server.port}/", Names(["127.0.0.1"]), guard=blind
        )
        assert result is not Result.DELIVERED
        assert server.calls == []


async def test_a_name_nobody_knows_is_worth_another_try() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    result, error = await send(f"http://{NAME}:1/", unknown)
    assert (result, error) == (Result.NETWORK, "the host name does not resolve")
    assert result.retried


async def test_tls_proves_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    context = certificate(tmp_path, x509.DNSName(NAME))
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    async with (
        receiver(tls=context) as server,
        Sender(ONLY_ONE, lookup=Names(["127.0.0.1"]), tls=trusting) as sender,
    ):
        attempt = await sender.send(parcel(f"https://{NAME}:{server.port}/"))
        assert (attempt.result, len(server.calls)) == (Result.DELIVERED, 1)


@pytest.mark.parametrize(
    ("name", "trusted"),
    [
        (x509.DNSName("other.example.test"), True),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True),
        (x509.DNSName(NAME), False),
    ],
)
async def test_a_certificate_that_does_not_prove_it_ends_the_call(
    tmp_path: Path, name: x509.GeneralName, trusted: bool
) -> None:
    context = certificate(tmp_path, name)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem")) if trusted else None
    async with (
        receiver(tls=context) as server,
        Sender(ONLY_ONE, lookup=Names(["127.0.0.1"]), tls=trusting) as sender,
    ):
        attempt = await sender.send(parcel(f"https://{NAME}:{server.port}/"))
        assert (attempt.result, server.calls) == (Result.NETWORK, [])
        assert attempt.error == "the certificate is not valid for the host"
