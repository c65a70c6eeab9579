"""What goes out, whichever vendor speaks: frames, a whole reply, and a refusal with its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bytespike_contracts.money import TokenUsage

__all__ = ["Frame", "Reply", "VendorError"]


class Frame(NamedTuple):
    """One event as bytes; ``weight`` is how many bytes of model output it carries."""

    data: bytes
    weight: int = 0


class Reply(NamedTuple):
    """What goes out: ``frames`` are events of a stream, or the one body of a JSON answer. ``usage``
    is what a complete delivery bills. ``error_after`` gives the frames that say, in this stream's
    own form, that it broke after so many of them.
    """

    status: int
    headers: dict[str, str]
    frames: list[Frame]
    streamed: bool
    error_after: Callable[[int], list[Frame]]
    usage: TokenUsage = TokenUsage()


class VendorError(Exception):
    """An answer with an error body. ``type`` is the vendor's word for its kind; ``param``, ``code``
    and ``details`` are for vendors that send them.
    """

    def __init__(
        self,
        status: int,
        type_: str,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        details: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type_
        self.message = message
        self.param = param
        self.code = code
        self.details = details or []
