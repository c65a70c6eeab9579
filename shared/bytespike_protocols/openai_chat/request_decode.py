"""A client's Chat Completions request as the canonical one.

Lenient where the vendor is: roles may follow each other in any order, deprecated spellings
(``max_tokens``, ``functions``) are read as their successors. The ``developer`` role is ``system``
by another name. Results of a run of tool messages and the user message after them are one turn.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bytespike_protocols.custody import unwrap
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Block,
    Content,
    Dialect,
    Extra,
    Foreign,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.openai_chat.content import decode_part
from bytespike_protocols.openai_chat.fields import Fields, json_text
from bytespike_protocols.openai_chat.reasoning import block_of_detail
from bytespike_protocols.openai_chat.settings_decode import decode_settings

__all__ = ["decode_request"]

OURS = Dialect.OPENAI_CHAT
_NO_ARGUMENTS = "{}"

_detail_decoder = msgspec.json.Decoder(dict[str, object])


def decode_request(body: bytes) -> Request:
    """Raises ``BadClientMessage`` with the JSON path of what cannot be understood."""
    fields = Fields.of_body(body)
    model = fields.need_text("model")
    if not model:
        raise fields.fail("model", "must not be empty")
    if not fields.starts("messages"):
        raise fields.fail("messages", "field required")
    history = _History()
    for raw, path, _ in fields.items("messages"):
        history.add(raw, path)
    history.finish()
    if not history.turns and not history.system:
        raise fields.fail("messages", "at least one message is required")
    settings = decode_settings(fields, history.extras)
    return Request(
        dialect=OURS,
        model=model,
        turns=tuple(history.turns),
        system=tuple(history.system),
        extras=(*history.extras, *fields.rest()),
        **settings,
    )


class _History:
    """Collects messages into turns."""

    __slots__ = ("_names", "_results", "_written", "extras", "system", "turns")

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self.extras: list[Extra] = []
        self._results: list[ToolResult] = []
        #: Names of the calls seen, by id: results do not repeat them.
        self._names: dict[str, str] = {}
        #: How many messages there will be when this dialect writes them back.
        self._written = 0

    def add(self, raw: msgspec.Raw, path: str) -> None:
        """Take in the next message."""
        message = Fields.of(raw, path=path, home=f"messages[{self._written}]")
        role = message.need_text("role")
        reader = _READERS.get(role)
        if reader is None:
            raise message.fail("role", f"must be one of {', '.join(_READERS)}")
        if role not in {"tool", "function", "user"}:
            self.finish()
        self._written += reader(self, message)
        self.extras += message.rest()

    def finish(self) -> None:
        """Results that no user message follows make a turn of their own."""
        if self._results:
            self.turns.append(Turn(role="user", blocks=tuple(self._results)))
            self._results = []

    def add_system(self, message: Fields) -> int:
        """``system`` and ``developer``: how many messages it takes to write it back."""
        if not self.turns:
            texts = self._leading_texts(message)
            self.system += texts
            return len(texts)
        blocks = _text_only(message, _read_content(message, self.extras))
        self.turns.append(Turn(role="system", blocks=blocks, name=message.text("name")))
        return 1

    def _leading_texts(self, message: Fields) -> tuple[Text, ...]:
        if message.starts("content") != "[":
            return _text_only(message, _read_content(message, self.extras))
        # Each part is written back as a message of its own.
        blocks = [
            decode_part(raw, path, f"messages[{self._written + place}].content[0]", self.extras)
            for place, (raw, path, _) in enumerate(message.items("content"))
        ]
        return _text_only(message, blocks)

    def add_user(self, message: Fields) -> int:
        """``user``, together with the results before it."""
        content = _read_content(message, self.extras)
        self.turns.append(
            Turn(role="user", blocks=(*self._results, *content), name=message.text("name"))
        )
        self._results = []
        return 1

    def add_assistant(self, message: Fields) -> int:
        """``assistant``: thoughts, words, refusal, calls."""
        blocks: list[Block] = [*_read_thoughts(message, self.extras)]
        if message.starts("content") == "[":
            blocks += _read_content(message, self.extras)
        elif text := message.text("content"):
            blocks.append(Text(text=text))
        refusal = message.text("refusal")
        if refusal:
            blocks.append(Refusal(text=refusal))
        calls = [self._read_call(*item) for item in message.items("tool_calls")]
        legacy = message.object("function_call")
        if legacy is not None:
            call_id = f"call_{len(self.turns)}"
            calls.append(_read_function(legacy, call_id, None, self.extras))
        self._names.update({call.id: call.name for call in calls if isinstance(call, ToolUse)})
        # A message that says nothing is still a turn.
        blocks = [*blocks, *calls] or [Text(text="")]
        self.turns.append(Turn(role="assistant", blocks=tuple(blocks), name=message.text("name")))
        return 1

    def _read_call(self, raw: msgspec.Raw, path: str, home: str) -> ToolUse | Foreign:
        call = Fields.of(raw, path=path, home=home)
        kind = call.text("type")
        if kind == "custom":
            return Foreign(dialect=OURS, kind=kind, value=json_text(raw, path))
        function = call.object("function")
        if function is None:
            raise call.fail("function", "field required")
        opaque = _read_signature(call, self.extras)
        block = _read_function(function, call.need_text("id"), opaque, self.extras)
        call.integer("index")
        self.extras += call.rest()
        return block

    def add_tool(self, message: Fields) -> int:
        """``tool``."""
        call_id = message.need_text("tool_call_id")
        self._add_result(message, call_id, message.text("name"))
        return 1

    def add_function(self, message: Fields) -> int:
        """``function``, deprecated: bound to its call by name alone."""
        name = message.need_text("name")
        ids = [call_id for call_id, known in self._names.items() if known == name]
        self._add_result(message, ids[-1] if ids else f"call_{name}", name)
        return 1

    def _add_result(self, message: Fields, call_id: str, name: str | None) -> None:
        content = [
            block if not isinstance(block, Refusal) else Text(text=block.text)
            for block in _read_content(message, self.extras)
        ]
        if content == [Text(text="")]:
            content = []
        name = self._names.get(call_id, name)
        self._results.append(ToolResult(id=call_id, name=name, content=tuple(content)))


_READERS: dict[str, Callable[[_History, Fields], int]] = {
    "system": _History.add_system,
    "developer": _History.add_system,
    "user": _History.add_user,
    "assistant": _History.add_assistant,
    "tool": _History.add_tool,
    "function": _History.add_function,
}


def _read_content(message: Fields, extras: list[Extra]) -> list[Content | Refusal]:
    if message.starts("content") == "[":
        parts = message.items("content")
        blocks = [decode_part(raw, path, home, extras) for raw, path, home in parts]
        return blocks or [Text(text="")]
    return [Text(text=message.text("content") or "")]


def _text_only(message: Fields, blocks: list[Content | Refusal]) -> tuple[Text, ...]:
    texts = tuple(block for block in blocks if isinstance(block, Text))
    if len(texts) != len(blocks):
        raise message.fail("content", "must be text")
    return texts


def _read_thoughts(message: Fields, extras: list[Extra]) -> list[Thinking | RedactedThinking]:
    words = [message.text("reasoning_content")]
    if message.starts("reasoning") == '"':
        words.append(message.text("reasoning"))
    blocks = []
    for raw, path, _ in message.items("reasoning_details"):
        try:
            block = block_of_detail(_detail_decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadClientMessage(path, "must be an object") from None
        if block is not None:
            blocks.append(block)
    if any(isinstance(block, Thinking) and block.text for block in blocks):
        return blocks
    # Hosts repeat the words of the details here; only details without words need them.
    text = next((text for text in words if text), "")
    return [Thinking(text=text), *blocks] if text else blocks


def _read_function(
    function: Fields, call_id: str, opaque: Opaque | None, extras: list[Extra]
) -> ToolUse:
    name = function.need_text("name")
    if function.starts("arguments") == "{":
        # Some clients forget to turn the object into a string.
        arguments = function.json("arguments")
    else:
        text = function.text("arguments")
        arguments = Json(text) if text and text.strip() else None
    extras += function.rest()
    return ToolUse(id=call_id, name=name, arguments=arguments or Json(_NO_ARGUMENTS), opaque=opaque)


def _read_signature(call: Fields, extras: list[Extra]) -> Opaque | None:
    """A thought signature where Gemini's compatibility layer puts it."""
    content = call.object("extra_content")
    if content is None:
        return None
    google = content.object("google")
    extras += content.rest()
    if google is None:
        return None
    signature = google.text("thought_signature")
    extras += google.rest()
    return unwrap(signature, carrier=OURS) if signature else None
