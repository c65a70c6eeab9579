"""How losses are told to the client: in a header, or as a refusal if it wants none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable

__all__ = ["DROPPED_HEADER_BYTES", "dropped_header", "require_lossless"]

#: Clients and proxies take headers of 8 KiB in all; this is one of a dozen.
DROPPED_HEADER_BYTES: Final = 2048
_MORE: Final = ", ..."
#: A path repeats names the client made up, which must not break out of the header or its list.
_UNSAFE: Final = re.compile(r"[^!-+\--~]")


def dropped_header(losses: Iterable[Loss]) -> str:
    """The value of ``X-ByteSpike-Dropped``: paths in the client's dialect, what is dropped first,
    then what is emulated as ``path (emulated)``. Printable ASCII, at most
    :data:`DROPPED_HEADER_BYTES`; ``, ...`` at the end says that there are more. Empty without
    losses.
    """
    known = list(losses)
    words = [_safe(loss.path) for loss in known if loss.verdict == "dropped"]
    words += [f"{_safe(loss.path)} (emulated)" for loss in known if loss.verdict == "emulated"]
    return _bounded(words)


def require_lossless(losses: Iterable[Loss]) -> None:
    """For ``X-ByteSpike-Strict: true``: raises ``Unrepresentable`` naming every dropped field (as
    many as :func:`dropped_header` would). What is emulated is no loss in this sense.
    """
    dropped = [loss for loss in losses if loss.verdict == "dropped"]
    if not dropped:
        return
    first, *others = dropped
    likewise = f"; likewise {dropped_header(others)}" if others else ""
    raise Unrepresentable(
        first.path, f"this model cannot be told, and the request is strict{likewise}"
    )


def _bounded(words: Iterable[str]) -> str:
    listed: Iterator[str] = iter(words)
    value = next(listed, "")
    if len(value) > DROPPED_HEADER_BYTES:
        return value[: DROPPED_HEADER_BYTES - len(_MORE)] + _MORE
    for word in listed:
        longer = f"{value}, {word}"
        if len(longer) > DROPPED_HEADER_BYTES - len(_MORE):
            return value[: DROPPED_HEADER_BYTES - len(_MORE)] + _MORE
        value = longer
    return value


def _safe(path: str) -> str:
    return _UNSAFE.sub(_percent, path)


def _percent(char: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in char[0].encode(errors="replace"))
