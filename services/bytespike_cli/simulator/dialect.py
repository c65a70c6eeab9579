"""What the simulator needs to know of a vendor's dialect to be that vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from bytespike_cli.simulator.faults import Faults
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.issued import Issued
from bytespike_cli.simulator.prefixes import PrefixCache
from bytespike_cli.simulator.reply import Frame, Reply, VendorError
from bytespike_contracts.money import TokenUsage

__all__ = ["Ask", "Dialect", "Memory", "Meter", "Named", "always", "name_in_body"]

Json = dict[str, Any]


class Memory(NamedTuple):
    """What one upstream account remembers between requests."""

    cache: PrefixCache
    issued: Issued


class Named(NamedTuple):
    """The model a request names, its fault suffix, and the body without that suffix."""

    model: str
    suffix: str
    body: bytes


class Ask(NamedTuple):
    """A request reduced to what decides its answer. ``path`` is decoded, without query."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    model: str
    faults: Faults
    identity: Identity
    now_ms: int


class Meter(Protocol):
    """Reads what scripted bytes of a dialect say. Events that are not JSON objects are ``{}``."""

    def usage(self, events: list[Json]) -> TokenUsage:
        """What a whole answer says it consumed; zeros if it does not say."""

    def weight(self, event: Json) -> int:
        """Bytes of model output in one event of a stream."""


class Dialect(Protocol):
    """One vendor's way to be asked, to answer and to refuse. Whatever is refused raises
    :class:`VendorError`.
    """

    name: str
    meter: Meter
    #: Content type of a stream that a test scripted.
    stream_type: str

    def named(self, path: str, body: bytes) -> Named:
        """The model asked for; empty if none can be made out."""

    def check_caller(self, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        """Credentials, and whatever else is looked at before the body."""

    def told(self, status: int) -> VendorError:
        """The error the vendor would give with this status."""

    def compose(self, ask: Ask, memory: Memory) -> Reply:
        """The answer to a request."""

    def error_reply(
        self, error: VendorError, identity: Identity, retry_after_s: int | None
    ) -> Reply:
        """A refusal as a whole answer."""

    def error_as_success(self, ask: Ask) -> Reply:
        """Status 200 with an error body of the type the fault names."""

    def error_after(self, sent: int) -> list[Frame]:
        """How a stream says that it broke after ``sent`` events."""


def always(dialect: Dialect) -> Callable[[str, Mapping[str, str]], Dialect]:
    """For paths on which only one dialect is spoken."""
    return lambda _path, _query: dialect


def name_in_body(body: bytes) -> Named:
    """For dialects that name the model in a field of the body."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        named = msgspec.json.decode(fields.get("model", b'""'), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Named("", "", body)
    model, plus, suffix = named.partition("+")
    if plus:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
        body = msgspec.json.encode(fields)
    return Named(model, suffix, body)
