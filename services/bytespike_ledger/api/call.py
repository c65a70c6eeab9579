"""One API call as a value: what a handler gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bytespike_ledger.accounts.actors import Actor, Operator

__all__ = ["Call", "Reply", "csv_reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``query`` and ``body`` are the structs the route names, decoded and checked; ``ids`` are the
    variable parts of the path by name. ``raw`` and ``headers`` are what came, for the one caller
    that signs its bytes.
    """

    who: Actor | Operator | None
    query: Any = None
    body: Any = None
    ids: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        """The customer's key, on routes that need one."""
        if not isinstance(self.who, Actor):
            raise TypeError("this route is not called with a key")
        return self.who

    @property
    def operator(self) -> Operator:
        """The operator, on routes that need one."""
        if not isinstance(self.who, Operator):
            raise TypeError("this route is not called by an operator")
        return self.who

    @property
    def caller(self) -> Actor | Operator:
        """Either, on routes whose handler serves both."""
        return self.operator if isinstance(self.who, Operator) else self.actor


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a struct (or list of them) sent as JSON, or bytes sent as they are.

    ``status`` None is the one the route names. ``headers`` come on top.
    """

    body: object
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def csv_reply(document: bytes, name: str) -> Reply:
    """A CSV to be saved as ``name``, which is ours to choose."""
    return Reply(document, headers={"content-disposition": f'attachment; filename="{name}"'})
