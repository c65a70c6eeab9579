"""What OpenAI's two APIs share: credentials, models, headers, errors, and the count of a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bytespike_cli.simulator.caller import BAD_KEY, bearer
from bytespike_cli.simulator.dialect import Ask
from bytespike_cli.simulator.dialects.openai.checks import refused, text
from bytespike_cli.simulator.faults import DEFAULT_ERROR_BODY
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.prefixes import Part
from bytespike_cli.simulator.reply import Frame, Reply, VendorError
from bytespike_cli.simulator.tokens import IMAGE_TOKENS, encoded_tokens, text_tokens

__all__ = [
    "CACHE_STEP_TOKENS",
    "CREATED_S",
    "EFFORTS",
    "check_caller",
    "error_as_success",
    "error_object",
    "error_reply",
    "headers",
    "knows_model",
    "metadata",
    "part_of",
    "read_object",
    "reasons",
    "told",
]

Json = dict[str, Any]

#: Answers carry one time, so that the same request gets the same bytes.
CREATED_S = 1_795_392_000
#: Cached prompts are counted in steps of so many tokens.
CACHE_STEP_TOKENS = 128
MAX_METADATA = 16
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_MODELS = ("gpt-", "o1", "o3", "o4", "chatgpt-", "codex-", "sim-")
_REASONING = re.compile(r"(o[134](-|$)|gpt-[5-9](?!.*-chat)|codex-|sim-reasoning)")

#: Fields of a prompt that the model does not read.
_UNCOUNTED = frozenset({"type", "id", "call_id", "tool_call_id", "encrypted_content", "status"})
_KEY_HELP = "You can find your API key at https://platform.openai.com/account/api-keys."
_OVERLOADED = ("server_error", "service_unavailable", "The engine is currently overloaded")
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The simulator was told to refuse this request."),
    401: ("invalid_request_error", "invalid_api_key", f"Incorrect API key provided. {_KEY_HELP}"),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    413: ("invalid_request_error", None, "Request too large: the body is above the limit."),
    429: (
        "tokens",
        "rate_limit_exceeded",
        "Rate limit reached on tokens per min (TPM). Please try again later.",
    ),
    500: (
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    503: _OVERLOADED,
    529: _OVERLOADED,
}


def read_object(body: bytes) -> Json:
    """The body as an object."""
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't"
            " using your HTTP library correctly. The OpenAI API expects a JSON payload, but what"
            " was sent was not valid JSON.)"
        )
        raise refused(message, None, None) from error
    if not isinstance(fields, dict):
        raise refused("Invalid type: expected an object.", None, "invalid_type")
    return fields


def metadata(path: str, value: Any) -> None:
    """Up to 16 short strings by short names."""
    if not isinstance(value, dict):
        raise refused(f"Invalid type for '{path}': expected an object.", path, "invalid_type")
    if len(value) > MAX_METADATA:
        message = (
            f"Invalid '{path}': object with too many properties. Expected an object with at most"
            f" {MAX_METADATA} properties, but got an object with {len(value)} properties instead."
        )
        raise refused(message, path, "object_above_max_properties")
    for name, item in value.items():
        text(most=64)(f"{path}.{name}", name)
        text(most=512)(f"{path}.{name}", item)


def check_caller(given: Mapping[str, str]) -> None:
    """A bearer token that is not the bad one."""
    key = bearer(given)
    if not key:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        raise VendorError(401, "invalid_request_error", message)
    if key == BAD_KEY:
        message = f"Incorrect API key provided: {key}. {_KEY_HELP}"
        raise VendorError(401, "invalid_request_error", message, code="invalid_api_key")


def told(status: int) -> VendorError:
    """The vendor's words for a status."""
    kind, code, message = _ERRORS.get(status, ("server_error", None, "Simulated error"))
    return VendorError(status, kind, message, code=code)


def knows_model(model: str) -> bool:
    """Whether OpenAI serves it."""
    return model.startswith(_MODELS) and not any(word in model for word in ("nonexistent", "wrong"))


def reasons(model: str) -> bool:
    """Whether it is a reasoning model, which thinks unless told not to."""
    return _REASONING.match(model) is not None


def headers(identity: Identity) -> dict[str, str]:
    """The vendor's headers on every answer."""
    return {
        "content-type": "application/json",
        "openai-organization": "simulator",
        "openai-processing-ms": "157",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "30000",
        "x-ratelimit-limit-tokens": "150000000",
        "x-ratelimit-remaining-requests": "29999",
        "x-ratelimit-remaining-tokens": "149999987",
        "x-ratelimit-reset-requests": "2ms",
        "x-ratelimit-reset-tokens": "0s",
        "x-request-id": f"req_{identity.digits('request', 32)}",
    }


def error_object(error: VendorError) -> Json:
    """What every error says, wherever it stands."""
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def error_reply(
    error: VendorError,
    identity: Identity,
    retry_after_s: int | None,
    error_after: Callable[[int], list[Frame]],
) -> Reply:
    """A refusal with the envelope both APIs share."""
    given = headers(identity)
    if retry_after_s is not None:
        given["retry-after"] = str(retry_after_s)
        given["retry-after-ms"] = str(retry_after_s * 1000)
    body = msgspec.json.encode({"error": error_object(error)})
    return Reply(error.status, given, [Frame(body)], False, error_after)


def error_as_success(ask: Ask, error_after: Callable[[int], list[Frame]]) -> Reply:
    """The envelope under a 200; the fault may name the type."""
    error = told(503)
    if ask.faults.error_body != DEFAULT_ERROR_BODY:
        error.type, error.code = ask.faults.error_body, None
    error.status = 200
    return error_reply(error, ask.identity, None, error_after)


def part_of(value: Any) -> Part:
    """One piece of a prompt with its tokens."""
    return Part(msgspec.json.encode(value), _tokens(value))


def _tokens(value: Any) -> int:
    if isinstance(value, str):
        return text_tokens(value)
    if isinstance(value, list):
        return sum(_tokens(item) for item in value)
    if not isinstance(value, dict):
        return 0 if value is None else 1
    kind = value.get("type")
    if kind in ("image_url", "input_image"):
        return IMAGE_TOKENS
    if kind in ("file", "input_file"):
        holder = value.get("file") or value
        return encoded_tokens(holder.get("file_data") or "")
    if kind == "input_audio":
        return encoded_tokens(value["input_audio"]["data"])
    return sum(_tokens(item) for name, item in value.items() if name not in _UNCOUNTED)
