"""Money that operators have received some other way, by bank transfer for example."""

from __future__ import annotations

from bytespike_ledger.payments.port import Receipt

__all__ = ["MANUAL", "received"]

MANUAL = "manual"


def received(transfer_name: str) -> Receipt:
    """The receipt of a top-up by an operator; ``transfer_name`` is what makes it happen once."""
    return Receipt(provider=MANUAL, provider_ref=transfer_name)
