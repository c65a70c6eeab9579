"""What a row of the loss policy says."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from bytespike_protocols.ir import Dialect

__all__ = ["Row", "Verdict", "row", "targets"]


class Verdict(StrEnum):
    """What becomes of a field. ``exact``: same name, same value. ``mapped``: the same by another
    name or in another shape. ``emulated``: nearly the same by other means, reported. ``dropped``:
    not said, reported. ``refused``: HTTP 400, since without it the answer would be to another
    question.
    """

    EXACT = "exact"
    MAPPED = "mapped"
    EMULATED = "emulated"
    DROPPED = "dropped"
    REFUSED = "refused"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a client's dialect. ``path`` has no places in arrays; ``case`` says for which
    values the verdicts hold, if not for all. ``idle`` names the targets whose body the field does
    not change, for the reason in ``note``. ``told_as`` is the path a loss is reported under, where
    that is another spelling of the field.
    """

    path: str
    case: str = ""
    verdicts: dict[Dialect, Verdict]
    note: str = ""
    idle: frozenset[Dialect] = frozenset()
    told_as: str = ""

    @property
    def reported(self) -> str:
        """The path in ``X-ByteSpike-Dropped`` and in refusals."""
        return self.told_as or self.path


_ORDER: Final = tuple(Dialect)


def targets(client: Dialect) -> tuple[Dialect, ...]:
    """The dialects a request of ``client`` can be translated into, in the order of the columns."""
    return tuple(dialect for dialect in _ORDER if dialect is not client)


def row(
    client: Dialect,
    path: str,
    verdicts: str,
    *,
    case: str = "",
    note: str = "",
    told_as: str = "",
) -> Row:
    """A row from its verdicts in words, in the order of :func:`targets`; one in brackets changes
    nothing in the target's body.
    """
    words = dict(zip(targets(client), verdicts.split(), strict=True))
    return Row(
        path=path,
        case=case,
        verdicts={target: Verdict(word.strip("()")) for target, word in words.items()},
        note=note,
        idle=frozenset(target for target, word in words.items() if word.startswith("(")),
        told_as=told_as,
    )
