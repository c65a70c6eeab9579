"""Where webhooks may go: the public internet, and nothing that only we can reach. Pure.

A URL is a customer's wish and our network the means, so every address is judged right where the
socket is made: the names here, the addresses of a name by the sender. Whatever is not plainly a
public unicast address is refused; the lists below are IANA's special-purpose registries, spelt out
because the standard library's idea of "global" differs between versions.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from yarl import URL

__all__ = ["Guard", "UrlRefused"]

_MAX_URL_CHARS = 2048
_HTTPS_PORTS = (443, 8443)
_PLAIN = re.compile(r"[!-\[\]-~]+")  # printable ASCII, no space and no backslash
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LOOKS_NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)")

_NOT_HTTPS = "expected a URL that starts with https://"

_REFUSED_V4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds keep metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform service, on a public address
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
#: Everything public in IPv6 is in here so far. Outside are loopback, mapped and translated IPv4
#: (``::ffff:0:0/96``, ``64:ff9b::/96``), unique local, link-local, site-local and multicast.
_UNICAST_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
    )
]


class UrlRefused(ValueError):
    """A URL no webhook may have; the message is for whoever chose it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """``http_hosts`` are hosts that may be called without TLS and on any port, and
    ``allowed_networks`` those that are allowed though they are not public: both for development.
    """

    http_hosts: frozenset[str] = frozenset()
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, http_hosts: Iterable[str], allowed_networks: Sequence[str]) -> Guard:
        """From settings. Raises ``ValueError`` for what is not a network."""
        networks = tuple(ipaddress.ip_network(text) for text in allowed_networks)
        return cls(frozenset(host.lower() for host in http_hosts), networks)

    def admits(self, address: str) -> bool:
        """Whether a socket may be connected to this IP address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if any(ip in network for network in self.allowed_networks):
            return True
        return _is_public(ip)

    def url(self, text: str) -> URL:
        """The URL in its one spelling. Raises :class:`UrlRefused`."""
        if len(text) > _MAX_URL_CHARS or not _PLAIN.fullmatch(text):
            raise UrlRefused(
                f"expected at most {_MAX_URL_CHARS} printable ASCII characters without spaces"
            )
        try:
            url = URL(text)
            host, port = url.raw_host, url.port
        except ValueError:
            raise UrlRefused("not a URL") from None
        if not host or not (_NAME.fullmatch(host) or _is_address(host)):
            raise UrlRefused("the host is neither a name nor an address")
        if url.scheme not in ("http", "https"):
            raise UrlRefused(_NOT_HTTPS)
        if url.raw_user is not None or url.raw_password is not None:
            raise UrlRefused("a URL must not hold a user or a password")
        if "#" in text:
            raise UrlRefused("a URL must not have a fragment")
        if host.lower() not in self.http_hosts:
            self._check_public(url.scheme, host, port)
        elif _is_address(host) and not self.admits(host):
            raise UrlRefused("the address is not a public one")
        return url.join(URL("/")) if url == url.origin() else url

    def _check_public(self, scheme: str, host: str, port: int | None) -> None:
        if scheme != "https":
            raise UrlRefused(_NOT_HTTPS)
        if port not in _HTTPS_PORTS:
            raise UrlRefused(f"the port must be one of {', '.join(map(str, _HTTPS_PORTS))}")
        if _is_address(host):
            if not self.admits(host):
                raise UrlRefused("the address is not a public one")
            return
        labels = host.split(".")
        # 2130706433, 0x7f.1 and their like are addresses to some resolvers.
        if len(labels) < 2 or _LOOKS_NUMERIC.fullmatch(labels[-1]):
            raise UrlRefused("the host must be a full public name")


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    if ip.scope_id is not None or ip not in _UNICAST_V6:
        return False
    return not any(ip in network for network in _REFUSED_V6)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
