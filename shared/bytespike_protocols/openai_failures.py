"""Errors in OpenAI's envelope, which both of its dialects share: read in every host's accent, and
written in one.
"""

from __future__ import annotations

import msgspec

from bytespike_protocols.failures import VendorFailure, numbered

__all__ = ["encode_error", "failure_of", "read_failure"]

_TYPE_BY_STATUS = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

#: Words in a vendor's code or type and the status they stand for; the first that is found counts.
_WORDS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (402, ("insufficient_quota", "insufficient_balance", "billing")),
    (429, ("rate_limit", "ratelimit", "quota")),
    (529, ("overload", "unavailable", "slow_down")),
    (504, ("timeout",)),
    (404, ("model_not_found",)),
    (401, ("api_key", "authentication", "unauthorized")),
    (403, ("permission",)),
    (400, ("invalid", "unsupported", "context_length", "tool_use_failed", "image", "policy")),
)
#: What OpenAI calls the limits of a rate, mostly as the type of its 429.
_RATES = frozenset({"tokens", "requests"})
#: A status and what the words say it should have been.
_CORRECTED = frozenset({(429, 402), (400, 404), (400, 401)})

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, object])


def encode_error(
    *, status: int, code: str, message: str, param: str | None, request_id: str
) -> bytes:
    """The JSON body; the request id is an extra field, since this dialect keeps it in a header."""
    default = "server_error" if status >= 500 else "invalid_request_error"
    error = {
        "message": message,
        "type": _TYPE_BY_STATUS.get(status, default),
        "param": param,
        "code": code,
    }
    return _encoder.encode({"error": error, "request_id": request_id})


def read_failure(status: int, body: bytes) -> VendorFailure | None:
    """The vendor's error, or None if ``body`` is in nobody's envelope (a proxy's HTML page).
    ``status`` is the HTTP status it came with; inside a success the words tell.

    Read are OpenAI's ``{"error": {…}}`` (codes may be numbers), ``{"error": "text"}`` (Venice),
    ``{"code", "error"}`` (xAI), ``{"detail"}`` (Mistral) and flat ``{"object": "error", …}``.
    """
    try:
        fields = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = fields.get("error")
    if isinstance(error, dict):
        return failure_of(status, error)
    if isinstance(error, str):
        return failure_of(status, {**fields, "message": error})
    if isinstance(fields.get("detail"), str | list):
        return failure_of(status, {**fields, "message": _detail_text(fields["detail"])})
    return failure_of(status, fields) if isinstance(fields.get("message"), str) else None


def failure_of(status: int, error: dict[str, object]) -> VendorFailure:
    """An error object, freed from its envelope."""
    code, kind = _text(error.get("code")), _text(error.get("type"))
    return VendorFailure(
        status=_status(status, code, kind),
        message=_text(error.get("message")),
        code=code or kind,
        param=_text(error.get("param")),
    )


def _status(status: int, code: str, kind: str) -> int:
    said = f"{code} {kind}".lower()
    told = next((told for told, words in _WORDS if any(word in said for word in words)), None)
    if status < 400:
        status = numbered(code) or told or (429 if {code, kind} & _RATES else 500)
    if told is not None and (status, told) in _CORRECTED:
        return told
    # What Anthropic has a status of its own for.
    return 529 if status == 503 else status


def _detail_text(detail: object) -> str:
    """Validators list their complaints as objects."""
    if isinstance(detail, list):
        messages = [item.get("msg") for item in detail if isinstance(item, dict)]
        return "; ".join(message for message in messages if isinstance(message, str))
    return _text(detail)


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
