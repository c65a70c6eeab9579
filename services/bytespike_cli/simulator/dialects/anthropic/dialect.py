"""Messages and its token counting, from headers to bytes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bytespike_cli.simulator.caller import BAD_KEY, bearer
from bytespike_cli.simulator.dialect import Ask, Memory, Meter, Named, name_in_body
from bytespike_cli.simulator.dialects.anthropic.answer import Answer, compose
from bytespike_cli.simulator.dialects.anthropic.prompt import count_prompt, use_cache
from bytespike_cli.simulator.dialects.anthropic.requests import (
    CountRequest,
    invalid,
    read_count_request,
    read_messages_request,
)
from bytespike_cli.simulator.dialects.anthropic.usage import AnthropicMeter
from bytespike_cli.simulator.dialects.anthropic.wire import (
    ERROR_TYPES,
    error_body,
    error_frame,
    json_body,
    stream_frames,
)
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.issued import Issued, opaque_strings
from bytespike_cli.simulator.reply import Frame, Reply, VendorError

__all__ = ["ANTHROPIC", "Anthropic"]

VERSIONS = ("2023-06-01", "2026-10-21")

_COUNT_PATH = "/v1/messages/count_tokens"


class Anthropic:
    """``POST /v1/messages`` and ``/v1/messages/count_tokens``."""

    name = "anthropic"
    meter: Meter = AnthropicMeter()
    stream_type = "text/event-stream; charset=utf-8"

    def named(self, _: str, body: bytes) -> Named:
        """The body names the model."""
        return name_in_body(body)

    def check_caller(self, headers: Mapping[str, str], _: Mapping[str, str]) -> None:
        """Key and version as the vendor wants them."""
        key = headers.get("x-api-key", "") or bearer(headers)
        if not key:
            raise VendorError(401, "authentication_error", "x-api-key header is required")
        if key == BAD_KEY:
            raise VendorError(401, "authentication_error", "invalid x-api-key")
        version = headers.get("anthropic-version", "")
        if not version:
            raise invalid("anthropic-version: header is required")
        if version not in VERSIONS:
            raise invalid(f"anthropic-version: {version!r} is not a valid version")

    def told(self, status: int) -> VendorError:
        """The vendor's words for a status."""
        return VendorError(status, *ERROR_TYPES.get(status, ("api_error", "Simulated error")))

    def compose(self, ask: Ask, memory: Memory) -> Reply:
        """A message, whole or streamed, or a count."""
        headers = _headers(ask.identity)
        if ask.path.endswith(_COUNT_PATH):
            counting = read_count_request(ask.body)
            _check_signatures(counting, memory.issued)
            counted = {"input_tokens": count_prompt(ask.body, counting)}
            return self._whole(200, headers, msgspec.json.encode(counted))
        asked = read_messages_request(ask.body, ask.headers["anthropic-version"])
        _check_signatures(asked, memory.issued)
        prompt = use_cache(memory.cache, ask.body, asked, ask.now_ms)
        answer = compose(asked, ask.identity, prompt, ask.faults)
        _issue(answer, memory.issued)
        if not asked.stream:
            frames = [Frame(json_body(answer), weight=1)]
            return Reply(200, headers, frames, False, self.error_after, answer.usage)
        headers["content-type"] = self.stream_type
        headers["cache-control"] = "no-cache"
        frames = stream_frames(answer)
        return Reply(200, headers, frames, True, self.error_after, answer.usage)

    def error_reply(
        self, error: VendorError, identity: Identity, retry_after_s: int | None
    ) -> Reply:
        """The error envelope, with the request id in it too."""
        headers = _headers(identity)
        headers["x-should-retry"] = "true" if error.status in {429, 500, 503, 529} else "false"
        if retry_after_s is not None:
            headers["retry-after"] = str(retry_after_s)
        body = error_body(error.type, error.message, headers["request-id"])
        return self._whole(error.status, headers, body)

    def error_as_success(self, ask: Ask) -> Reply:
        """The same envelope under a 200."""
        body = error_body(ask.faults.error_body, "Simulated error", ask.identity.id("req_"))
        return self._whole(200, _headers(ask.identity), body)

    def error_after(self, _: int) -> list[Frame]:
        """An ``error`` event."""
        return [error_frame()]

    def _whole(self, status: int, headers: dict[str, str], body: bytes) -> Reply:
        return Reply(status, headers, [Frame(body)], False, self.error_after)


ANTHROPIC = Anthropic()


def _issue(answer: Answer, issued: Issued) -> None:
    for block in answer.blocks:
        for state in opaque_strings(block.whole):
            issued.add(Anthropic.name, state)


def _check_signatures(request: CountRequest, issued: Issued) -> None:
    """Thinking comes back as it was given, or the vendor does not take it."""
    for number, message in enumerate(request.messages):
        for at, block in enumerate(message.blocks()):
            field = {"thinking": "signature", "redacted_thinking": "data"}.get(block.type)
            if field and not issued.knows(Anthropic.name, getattr(block, field)):
                path = f"messages.{number}.content.{at}"
                raise invalid(f"{path}: Invalid `{field}` in `{block.type}` block")


def _headers(identity: Identity) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "request-id": identity.id("req_"),
        "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-requests-reset": "2026-11-23T00:00:00Z",
    }
