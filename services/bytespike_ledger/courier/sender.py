"""One HTTP call to a customer's server: signed, short, and only to where the guard lets it.

The one place of the ledger with an HTTP client. A host name is resolved once per call, every
address of it is judged, and the socket is connected to one of those very addresses while TLS goes
on to prove the name: there is no second look-up that could give another answer. Connections are not
kept, redirects not followed, proxies and cookies not known, and hardly anything of an answer is
read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.cookiejar import DummyCookieJar

from bytespike_contracts.webhooks import signature_headers
from bytespike_ledger.courier.guard import Guard, UrlRefused
from bytespike_ledger.courier.results import Attempt, Result, of_status
from bytespike_runtime.logs import get_logger

__all__ = ["Lookup", "Parcel", "Sender"]

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

_TOTAL_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 5.0
#: Enough to let a polite receiver finish its answer; nothing in it concerns us.
_MAX_ANSWER_BYTES = 4096
#: Look-ups block their thread, for as long as a slow name server likes. They have threads of their
#: own, as many as there are deliveries at a time, so that nothing else ever waits for one.
_LOOKUP_THREADS = 64
_USER_AGENT = "ByteSpike-Webhooks/1"

_log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is posted where. ``message_id`` is the event's, the same over all repetitions;
    ``timestamp_s`` (Unix seconds) says when this one was made.
    """

    url: str
    secret: str
    message_id: str
    timestamp_s: int
    payload: bytes


class Sender:
    """Use as ``async with``. ``lookup`` gives the addresses of a name, ``tls`` whom to trust, and
    ``timeout_s`` is for a whole call; tests pass their own.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = _TOTAL_TIMEOUT_S,
    ) -> None:
        self._guard = guard
        self._timeout = ClientTimeout(
            total=timeout_s, connect=_CONNECT_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S
        )
        self._lookup = lookup
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = TCPConnector(
            limit=0,  # the courier bounds what is under way
            force_close=True,
            use_dns_cache=False,
            resolver=_GuardedResolver(self._guard, self._lookup),
            socket_factory=self._socket,
            ssl=self._tls,
        )
        self._session = ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, parcel: Parcel) -> Attempt:
        """Post it once and say how that went; never raises but for cancellation."""
        try:
            return await self._post(parcel)
        except UrlRefused as error:
            return Attempt(Result.REFUSED, error=str(error))
        except ClientConnectorDNSError as error:
            if isinstance(error.os_error, _NotPublic):
                return Attempt(Result.REFUSED, error=str(error.os_error))
            return Attempt(Result.NETWORK, error="the host name does not resolve")
        except TimeoutError:
            return Attempt(Result.TIMEOUT, error="no answer in time")
        except (ClientError, OSError) as error:
            # The class tells enough (refused, reset, certificate); the text would hold addresses.
            return Attempt(Result.NETWORK, error=_words(error))
        except Exception:  # noqa: BLE001 - one delivery ends here, not all of them
            _log.exception("webhook call broke", event_id=parcel.message_id)
            return Attempt(Result.INTERNAL, error="the call could not be made")

    async def _post(self, parcel: Parcel) -> Attempt:
        if self._session is None:
            raise RuntimeError("use the sender as `async with`")
        url = self._guard.url(parcel.url)
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            **signature_headers(
                parcel.secret,
                parcel.payload,
                message_id=parcel.message_id,
                timestamp_s=parcel.timestamp_s,
            ),
        }
        async with self._session.post(
            url, data=parcel.payload, headers=headers, allow_redirects=False
        ) as response:
            # The status has decided; what follows it may be slow or break off.
            with contextlib.suppress(ClientError, TimeoutError):
                await response.content.read(_MAX_ANSWER_BYTES)
            return of_status(response.status)

    def _socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """The last gate, which also URLs with an address for a host pass through."""
        family, kind, protocol, _, address = addr_info
        if not self._guard.admits(str(address[0])):
            raise _NotPublic
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


class _NotPublic(OSError):
    """An address the guard refuses. Says nothing about which, or what is there."""

    def __str__(self) -> str:
        return "the host has an address that is not a public one"


class _GuardedResolver(AbstractResolver):
    """Names to addresses, all of which must be admitted: one bad one spoils the name."""

    def __init__(self, guard: Guard, lookup: Lookup | None) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="webhook-dns")
        self._lookup = lookup or self._ask_system

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises ``OSError``: no such name, or one that leads where nobody may go."""
        addresses = list(dict.fromkeys(await self._lookup(host, port)))
        if not all(self._guard.admits(address) for address in addresses):
            raise _NotPublic
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_system(self, host: str, port: int) -> Sequence[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        )
        return [str(info[4][0]) for info in found]


def _words(error: Exception) -> str:
    match error:
        case ClientConnectorCertificateError():
            return "the certificate is not valid for the host"
        case ClientSSLError():
            return "TLS could not be agreed on"
        case ClientConnectorError(os_error=ConnectionRefusedError()):
            return "the connection was refused"
    return "the connection broke"
