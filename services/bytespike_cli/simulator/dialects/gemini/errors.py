"""Google's words for a status, with the details its clients look at."""

from __future__ import annotations

from typing import Any

from bytespike_cli.simulator.reply import VendorError

__all__ = ["bad_key", "no_key", "no_model", "told", "with_delay", "wrong_credentials"]

_TYPES = "type.googleapis.com/google.rpc"
_QUOTA = "generativelanguage.googleapis.com/generate_content_paid_tier_input_token_count"

_ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: (
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login"
        " cookie or other valid authentication credential.",
    ),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit: 33554432 bytes."),
    429: (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    500: (
        "INTERNAL",
        "An internal error has occurred. Please retry or report in"
        " https://developers.generativeai.google/guide/troubleshooting",
    ),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    529: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def told(status: int) -> VendorError:
    """The vendor's words for a status."""
    type_, message = _ERRORS.get(status, ("UNKNOWN", "Simulated error"))
    return VendorError(400 if status == 413 else status, type_, message)


def with_delay(error: VendorError, retry_after_s: int) -> list[dict[str, Any]]:
    """The details of an error one may retry: Google says when in the body, not in a header."""
    details = [*error.details]
    if error.status == 429:
        violation = {"quotaMetric": _QUOTA, "quotaValue": "1000000"}
        details.append({"@type": f"{_TYPES}.QuotaFailure", "violations": [violation]})
    return [*details, {"@type": f"{_TYPES}.RetryInfo", "retryDelay": f"{retry_after_s}s"}]


def no_key() -> VendorError:
    """Nobody knows who asks."""
    message = (
        "Method doesn't allow unregistered callers (callers without established identity). Please"
        " use API Key or other form of API consumer identity to call this API."
    )
    return VendorError(403, "PERMISSION_DENIED", message)


def wrong_credentials() -> VendorError:
    """A key sent as a bearer token is none."""
    return told(401)


def bad_key() -> VendorError:
    """A 400, which clients must read the reason of."""
    message = "API key not valid. Please pass a valid API key."
    details: list[dict[str, Any]] = [
        {
            "@type": f"{_TYPES}.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        },
        {"@type": f"{_TYPES}.LocalizedMessage", "locale": "en-US", "message": message},
    ]
    return VendorError(400, "INVALID_ARGUMENT", message, details=details)


def no_model(model: str, version: str, verb: str) -> VendorError:
    """The model is not there, or cannot do this."""
    message = (
        f"models/{model} is not found for API version {version}, or is not supported for {verb}."
        " Call ListModels to see the list of available models and their supported methods."
    )
    return VendorError(404, "NOT_FOUND", message)
