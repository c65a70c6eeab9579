"""What a webhook says: an event as the JSON that is signed, kept, and sent each time. Pure."""

from __future__ import annotations

import msgspec

from bytespike_contracts.money import format_usd, parse_usd
from bytespike_ledger.api.wire import timestamp_of
from bytespike_ledger.store.events import EventRow

__all__ = ["render"]

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def render(event: EventRow) -> str:
    """``{"event": …, "id": …, "created_at": …}`` and the fields of the event beside them. Amounts
    are kept as texts and leave, as everywhere in the API, as numbers with exact digits.
    """
    payload: dict[str, object] = {
        "event": event.type,
        "id": event.id,
        "created_at": timestamp_of(event.created_at),
    }
    for name, value in _decoder.decode(event.body).items():
        payload.setdefault(name, _amount(value) if name.endswith("_usd") else value)
    return msgspec.json.encode(payload).decode()


def _amount(value: msgspec.Raw) -> msgspec.Raw:
    try:
        text = msgspec.json.decode(value, type=str)
        return msgspec.Raw(format_usd(parse_usd(text)).encode())
    except (msgspec.DecodeError, ValueError):
        return value
