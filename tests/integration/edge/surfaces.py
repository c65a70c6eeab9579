"""The text surfaces of the edge, as rows for tests that hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bytespike_protocols.ir import Dialect
from tests.integration.edge.surroundings import Reply

__all__ = ["MODEL", "PAID", "SURFACES", "Surface", "envelope_of"]

MODEL = "claude-sonnet-4-5"
ALIAS = "claude-sonnet-4.5"
_GENERATE = "/v1beta/models/{}:generateContent"
_STREAM = "/v1beta/models/{}:streamGenerateContent"


@dataclass(frozen=True, kw_only=True)
class Surface:
    """One way to call a model: ``path`` may have a place for its name, else the body names it."""

    name: str
    path: str
    sent_path: str
    dialect: Dialect
    fields: dict[str, Any]
    cap: tuple[str, ...] = ()
    streams: bool = False
    framing: Literal["sse", "array"] = "sse"
    paid: bool = True

    def __str__(self) -> str:
        return self.name

    def target(self, model: str = MODEL) -> str:
        return self.path.format(model)

    def body(self, model: str = MODEL, **more: Any) -> bytes:
        """A small request, compact."""
        named = {} if "{" in self.path else {"model": model}
        return msgspec.json.encode({**named, **self.fields, **more})

    def capped(self, tokens: object, **more: Any) -> bytes:
        """A request that limits the answer to ``tokens``."""
        value: Any = tokens
        for name in reversed(self.cap):
            value = {name: value}
        return self.body(**value, **more)


_MESSAGES = {"messages": [{"role": "user", "content": "Hello"}]}
_CONTENTS = {"contents": [{"parts": [{"text": "Hello"}]}]}
_GOOGLE_CAP = ("generationConfig", "maxOutputTokens")


def _google(name: str, path: str, sent_path: str, **more: Any) -> Surface:
    return Surface(
        name=name,
        path=path,
        sent_path=sent_path,
        dialect=Dialect.GEMINI,
        fields=_CONTENTS,
        cap=_GOOGLE_CAP,
        **more,
    )


SURFACES = [
    Surface(
        name="messages",
        path="/v1/messages",
        sent_path="/v1/messages",
        dialect=Dialect.ANTHROPIC,
        fields={"max_tokens": 100, **_MESSAGES},
        cap=("max_tokens",),
    ),
    Surface(
        name="chat",
        path="/v1/chat/completions",
        sent_path="/v1/chat/completions",
        dialect=Dialect.OPENAI_CHAT,
        fields=_MESSAGES,
        cap=("max_completion_tokens",),
    ),
    Surface(
        name="responses",
        path="/v1/responses",
        sent_path="/v1/responses",
        dialect=Dialect.OPENAI_RESPONSES,
        fields={"input": "Hello"},
        cap=("max_output_tokens",),
    ),
    _google("generate", _GENERATE, "/v1beta/generateContent"),
    _google("generate-v1", "/v1/models/{}:generateContent", "/v1beta/generateContent"),
    _google(
        "stream-array", _STREAM, "/v1beta/streamGenerateContent", streams=True, framing="array"
    ),
    _google(
        "stream-sse", f"{_STREAM}?alt=sse", "/v1beta/streamGenerateContent?alt=sse", streams=True
    ),
    Surface(
        name="count-messages",
        path="/v1/messages/count_tokens",
        sent_path="/v1/messages/count_tokens",
        dialect=Dialect.ANTHROPIC,
        fields=_MESSAGES,
        paid=False,
    ),
    _google("count-gemini", "/v1beta/models/{}:countTokens", "/v1beta/countTokens", paid=False),
]
PAID = [surface for surface in SURFACES if surface.paid]


def envelope_of(reply: Reply) -> str:
    """Whose error it is, by its shape; the parts every dialect's SDK looks at must be there."""
    fields, error = reply.json(), reply.error
    if fields.get("type") == "error":
        assert set(error) >= {"type", "message"}
        return "anthropic"
    if "status" in error:
        assert error["code"] == reply.status
        assert error["details"][0]["reason"].isupper()
        return "google"
    assert set(error) >= {"message", "type", "param", "code"}
    return "openai"
