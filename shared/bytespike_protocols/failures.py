"""What a vendor's failure means to us, in whatever dialect it was said.

A dialect's ``failure`` module reads its envelope (and those of the hosts that speak it with an
accent) into one :class:`VendorFailure`; who is at fault and what may be tried next follows from its
status alone.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Kind", "VendorFailure", "numbered", "without_529"]

#: What a client is told of a failure in mid-stream, where no status can be sent any more.
Kind = Literal["overloaded", "rate_limited", "timeout", "invalid_request", "internal"]

_KIND_BY_STATUS: dict[int, Kind] = {
    400: "invalid_request",
    # Our account at the vendor has no money: as with a rate, the same call may succeed later.
    402: "rate_limited",
    404: "invalid_request",
    413: "invalid_request",
    422: "invalid_request",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
#: Statuses that say the same as one of ours.
_SAME = {408: 504, 502: 503}


class VendorFailure(msgspec.Struct, frozen=True, kw_only=True):
    """An error a vendor sent, with a bad status or inside a success.

    ``status`` is the HTTP status it stands for in our terms, which is not always the one it came
    with: 400, 413 and 422 the request is wrong, 401 and 403 our key was refused, 402 our account
    has no money, 404 there is no such model, 429 too fast, 503 and 504 not now, 529 overloaded, 500
    anything else. ``code`` is the vendor's own word for it and ``param`` its path; both are empty
    if it gave none. ``message`` is for people and may name the vendor. ``retry_after_s`` is the
    wait asked for in the body.
    """

    status: int
    message: str
    code: str = ""
    param: str = ""
    retry_after_s: float | None = None

    @property
    def kind(self) -> Kind:
        """What to say of it in mid-stream."""
        return _KIND_BY_STATUS.get(self.status, "internal")


def numbered(code: object) -> int | None:
    """The status a code stands for, where a host writes HTTP statuses in its place."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return _SAME.get(code, code)
    return None


def without_529(status: int) -> int:
    """The status for clients of a dialect other than Anthropic's, which alone knows 529."""
    return 503 if status == 529 else status
