"""Which events people are told of, and in which words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bytespike_ledger.accounts.events import EventType

__all__ = ["NOTICES", "Notice", "notice_of"]


@dataclass(frozen=True, slots=True)
class Notice:
    """A title and a body with names of the event's fields in braces."""

    title: str
    body: str


#: Every event type that has notifications. An event must hold the fields its text names.
NOTICES: Mapping[str, Notice] = {
    EventType.BALANCE_LOW: Notice(
        "Your balance is low",
        "There are {balance_usd} USD left. Requests are refused when nothing is left.",
    ),
    EventType.PAYMENT_RECEIVED: Notice(
        "Payment received",
        "We received {amount_usd} USD. The balance is {balance_usd} USD now.",
    ),
    EventType.PAYMENT_REFUNDED: Notice(
        "Payment refunded",
        "{amount_usd} USD go back to where they came from. The balance is {balance_usd} USD now.",
    ),
    EventType.MEMBER_ADD: Notice(
        "You joined an organisation",
        "You were added to an organisation and can use its models from now on.",
    ),
    EventType.KEY_REVOKE: Notice(
        "A key was revoked by ByteSpike",
        "The API key {name} ({hint}) does not work any more. Contact support if you do not know"
        " why.",
    ),
    EventType.ORG_KEY_REVOKE: Notice(
        "A key was revoked",
        "The API key {name} ({hint}) was revoked and does not work any more.",
    ),
    EventType.USER_WEBHOOK_UPDATE: Notice(
        "A webhook was disabled",
        "The webhook to {host} gets no events any more, because {reason}. Enable it again when the"
        " receiver works.",
    ),
}


def notice_of(kind: str, body: Mapping[str, object]) -> Notice | None:
    """The words for an event, or None if nobody is told of it. A type that this release does not
    know yet is one of those.
    """
    notice = NOTICES.get(kind)
    # Whoever changes a webhook knows it; what the courier or an operator does to it has a reason.
    if notice is None or (kind == EventType.USER_WEBHOOK_UPDATE and "reason" not in body):
        return None
    return Notice(notice.title, notice.body.format_map(_Fields(body)))


class _Fields(dict[str, object]):
    """A field that is missing costs its place in a sentence, not the notification."""

    def __missing__(self, name: str) -> str:
        return "?"
