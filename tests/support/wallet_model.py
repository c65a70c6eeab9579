"""A brute-force model of several wallets: plain lists, added up from scratch every time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["ModelHold", "ModelLine", "ModelTopUp", "ModelWallet", "month_of", "months_after"]


@dataclass(frozen=True)
class ModelLine:
    """A movement or a charge: when it counts for, and its signed micro-USD."""

    at_ms: int
    amount: int
    usage: bool = False


@dataclass
class ModelTopUp:
    """What was paid and what came on top; ``given_back`` counts principal."""

    transfer_id: int
    principal: int
    bonus: int
    given_back: int = 0

    @property
    def left(self) -> int:
        """Principal that may still be given back."""
        return self.principal - self.given_back

    def bonus_gone(self, given_back: int) -> int:
        """Of the bonus, once so much of the principal is given back."""
        return self.bonus * given_back // self.principal


@dataclass
class ModelHold:
    """Money nobody else can have until the lease ends (None = the owner renews it)."""

    amount: int
    ends_ms: int | None = None


@dataclass
class ModelWallet:
    """One account. ``told`` is the balance Redis last heard of."""

    account_id: str
    tier: str
    keys: list[str] = field(default_factory=list)
    lines: list[ModelLine] = field(default_factory=list)
    top_ups: list[ModelTopUp] = field(default_factory=list)
    holds: list[ModelHold] = field(default_factory=list)
    told: int = 0

    @property
    def balance(self) -> int:
        """Everything that ever moved."""
        return sum(line.amount for line in self.lines)

    def move(self, line: ModelLine) -> None:
        """A movement that Redis heard of at once."""
        self.lines.append(line)
        self.told = self.balance

    def available(self, now_ms: int) -> int:
        """What admission may give away."""
        live = [hold for hold in self.holds if hold.ends_ms is None or hold.ends_ms > now_ms]
        return self.told - sum(hold.amount for hold in live)

    def before(self, month: str) -> int:
        """The opening balance of ``YYYY-MM``."""
        return sum(line.amount for line in self.lines if month_of(line.at_ms) < month)

    def within(self, month: str, *, usage: bool) -> list[int]:
        """Amounts that count for the month."""
        return [
            line.amount
            for line in self.lines
            if month_of(line.at_ms) == month and line.usage is usage
        ]


def month_of(at_ms: int) -> str:
    """``YYYY-MM`` in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m}"


def months_after(first: str, last: str) -> list[str]:
    """All months from one to the other."""
    year, month = int(first[:4]), int(first[5:])
    found = []
    while f"{year:04d}-{month:02d}" <= last:
        found.append(f"{year:04d}-{month:02d}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found
