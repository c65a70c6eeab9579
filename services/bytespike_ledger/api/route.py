"""A route as data: how it is called, by whom, with what, and what comes back.

The dispatcher checks requests by it and the OpenAPI document is written from it, so the two cannot
differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.api.call import Call, Reply

__all__ = ["ID_PATTERN", "Access", "CallHandler", "Route"]

CallHandler = Callable[[Call], Awaitable[Reply]]


#: What a variable segment of a path can be; anything else names nothing, so it is not found.
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}"


class Access(StrEnum):
    """Who may call a route that is not for customers' keys."""

    PUBLIC = "public"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path.

    ``path`` has variable segments as ``{name}`` and is the route's name in logs. ``access`` is a
    permission of the role table or a word of :class:`Access`. ``query`` is a struct of optional
    fields, ``body`` and ``reply`` are structs (or lists of them); a ``reply`` of None is an empty
    or non-JSON body of ``content_type``. ``status`` is that of success; other statuses are worked
    out from the rest (see ``openapi``), and ``also`` names what cannot be.
    """

    method: str
    path: str
    handler: CallHandler
    summary: str
    tag: str
    access: Access | Permission
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    reply: object = None
    status: int = 200
    content_type: str = "application/json"
    #: What else may come back: another success, a refusal that does not follow from the rest.
    also: tuple[int, ...] = ()
    #: Whether the handler honours ``Idempotency-Key``.
    idempotent: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        """The path split at its slashes."""
        return tuple(self.path.split("/"))
