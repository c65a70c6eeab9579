"""The canonical request as a Chat Completions body.

A request of this dialect is written as its client said it, extras in their places. One of another
dialect must first be made to obey the history rules: results straight after their calls and before
any other words, every call answered, no empty texts, no media inside results.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from bytespike_protocols.client_paths import in_the_clients_words
from bytespike_protocols.codec import Encoded, Loss
from bytespike_protocols.custody import wrap
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Audio,
    Block,
    Dialect,
    Document,
    Foreign,
    Image,
    RedactedThinking,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Video,
)
from bytespike_protocols.openai_chat.content import Part, PartWriter
from bytespike_protocols.openai_chat.fields import put
from bytespike_protocols.openai_chat.history import PlacedTurn, arranged, placed
from bytespike_protocols.openai_chat.names import NAMES, sendable_id
from bytespike_protocols.openai_chat.reasoning import detail_of
from bytespike_protocols.openai_chat.settings_encode import Flavour, encode_settings
from bytespike_protocols.openai_json import JSON_ONLY, lacks_the_word, wants_any_json
from bytespike_protocols.renaming import rename_tools

__all__ = ["encode_request"]

OURS = Dialect.OPENAI_CHAT
Message = dict[str, object]

#: What OpenAI's other API calls the same things, and their paths here.
_SAME_VENDOR = {
    Dialect.OPENAI_RESPONSES: {
        "moderation": "moderation",
        "prompt_cache_key": "prompt_cache_key",
        "prompt_cache_options": "prompt_cache_options",
        "prompt_cache_retention": "prompt_cache_retention",
        "text.verbosity": "verbosity",
    }
}
_ERROR_PREFIX = "Error: "
_MEDIA_NOTE = "(the content of this result follows in the next user message)"

_encoder = msgspec.json.Encoder()


@in_the_clients_words(Dialect.OPENAI_CHAT)
def encode_request(request: Request, *, model: str, flavour: Flavour) -> Encoded:
    """Raises ``Unrepresentable`` for content that would be lost."""
    request, renamed = rename_tools(request, NAMES)
    writer = _Writer(request, flavour)
    body: dict[str, object] = {"model": model, "messages": writer.messages()}
    body |= encode_settings(request, flavour, model, writer.report)
    writer.put_extras(body)
    return Encoded(body=_encoder.encode(body), losses=writer.losses(), renamed=renamed)


class _Writer:
    """Writes the messages of one request."""

    __slots__ = ("_flavour", "_losses", "_parts", "_request", "own")

    def __init__(self, request: Request, flavour: Flavour) -> None:
        self._request = request
        self._flavour = flavour
        self._losses: dict[Loss, None] = {}
        self.own = request.dialect is OURS
        self._parts = PartWriter(own=self.own, emulated=lambda path: self.report(path, True))

    def report(self, path: str, emulated: bool) -> None:
        """Note a loss, once."""
        self._losses[Loss(path, "emulated" if emulated else "dropped")] = None

    def losses(self) -> tuple[Loss, ...]:
        """What was noted."""
        return tuple(self._losses)

    def put_extras(self, body: dict[str, object]) -> None:
        """Back in their places, or reported."""
        tools = (tool.extras for tool in self._request.tools if isinstance(tool, Tool))
        shared = _SAME_VENDOR.get(self._request.dialect, {}) if self._flavour.openai else {}
        for extra in (*self._request.extras, *(extra for extras in tools for extra in extras)):
            if extra.path in shared:
                put(body, replace(extra, path=shared[extra.path]))
            elif not self.own or not put(body, extra):
                self.report(extra.path, False)

    def messages(self) -> list[Message]:
        """The system prompt and the turns."""
        written = self._system()
        asked = self._request
        if not self.own and wants_any_json(asked) and lacks_the_word(asked, asked.system):
            written.append({"role": "system", "content": JSON_ONLY})
        turns = asked.turns
        for turn in placed(turns) if self.own else arranged(turns, self.report):
            written += self._turn(turn)
        if not self.own and all(message["role"] == "system" for message in written):
            # A system prompt alone is no question for most vendors.
            written.append({"role": "user", "content": ""})
        return written

    def _system(self) -> list[Message]:
        texts = self._request.system
        if self.own:
            return [
                {"role": "system", "content": self._content([text], "system")} for text in texts
            ]
        texts = tuple(text for text in texts if text.text.strip())
        if self._wants_json_word():
            texts = (*texts, Text(text="Answer in JSON."))
        if not texts:
            return []
        return [{"role": "system", "content": self._content(texts, "system")}]

    def _wants_json_word(self) -> bool:
        """Asking for JSON without a schema is refused unless the prompt says the word."""
        output = self._request.output
        if output is None or output.schema is not None:
            return False
        said = [*self._request.system]
        for turn in self._request.turns:
            said += [block for block in turn.blocks if isinstance(block, Text)]
        return not any("json" in text.text.lower() for text in said)

    def _turn(self, turn: PlacedTurn) -> list[Message]:
        if turn.role == "assistant":
            return [self._assistant(turn)]
        written: list[Message] = []
        parts: list[tuple[Block, str]] = []
        media: list[tuple[Block, str]] = []
        for block, here in turn.blocks:
            if isinstance(block, ToolResult):
                written.append(self._result(block, here, media))
            else:
                parts.append((block, here))
        parts = media + parts
        if parts:
            content = self._said(parts)
            if content is not None:
                message: Message = {"role": turn.role, "content": content}
                written.append(self._with_name(message, turn))
        return written

    def _with_name(self, message: Message, turn: PlacedTurn) -> Message:
        if turn.name is not None:
            message["name"] = turn.name
        return message

    def _said(self, blocks: list[tuple[Block, str]]) -> object | None:
        """Blocks as message content; None if there is nothing to say."""
        parts: list[Part] = []
        for block, path in blocks:
            if isinstance(block, Text) and not self.own and not block.text.strip():
                continue
            parts += self._parts_of(block, path)
        if not parts:
            return None
        return self._short(parts)

    def _parts_of(self, block: Block, path: str) -> list[Part]:
        self._report_marks(block, path)
        match block:
            case Text() | Image() | Document() | Audio() | Video() | Foreign():
                return self._parts.write(block, path)
            case Refusal():
                return [{"type": "text", "text": block.text}]
        raise Unrepresentable(path, f"a {type(block).__name__} block cannot stand here")

    def _report_marks(self, block: Block, path: str) -> None:
        """What cannot be said about a block, though the block itself can."""
        if isinstance(block, Text | Image | Document) and block.cache and not self.own:
            # The vendors cache prefixes by themselves.
            self.report(f"{path}.cache", True)
        if isinstance(block, Text | Document) and block.citations:
            self.report(f"{path}.citations", False)
        if isinstance(block, Text) and block.opaque is not None:
            self.report(f"{path}.opaque", False)

    def _content(self, texts: Iterable[Text], path: str) -> object:
        blocks: list[tuple[Block, str]] = [
            (text, f"{path}[{index}]") for index, text in enumerate(texts)
        ]
        return self._said(blocks) or ""

    @staticmethod
    def _short(parts: list[Part]) -> object:
        """A lone text is written as a string, which every vendor takes."""
        first = parts[0]
        if len(parts) == 1 and isinstance(first, dict) and set(first) == {"type", "text"}:
            return first["text"]
        return parts

    def _result(self, result: ToolResult, path: str, media: list[tuple[Block, str]]) -> Message:
        if result.cache is not None and not self.own:
            self.report(f"{path}.cache", True)
        blocks: list[tuple[Block, str]] = []
        moved = False
        for index, block in enumerate(result.content):
            place = (block, f"{path}.content[{index}]")
            if self.own or isinstance(block, Text):
                blocks.append(place)
            elif isinstance(block, Foreign):
                raise Unrepresentable(place[1], f"{block.kind} has no form in a tool message")
            else:
                # Only text may stand in a tool message.
                self.report(place[1], True)
                media.append(place)
                moved = True
        content = self._said(blocks)
        if content is None:
            content = _MEDIA_NOTE if moved else ""
        if result.is_error:
            self.report(f"{path}.is_error", True)
            content = _marked_as_error(content)
        return {"role": "tool", "tool_call_id": self._id(result.id), "content": content}

    def _id(self, call_id: str) -> str:
        return call_id if self.own else sendable_id(call_id)

    def _assistant(self, turn: PlacedTurn) -> Message:
        message: Message = {"role": "assistant", "content": None}
        said: list[tuple[Block, str]] = []
        thoughts: list[tuple[Thinking | RedactedThinking, str]] = []
        refusals: list[str] = []
        calls: list[object] = []
        for block, here in turn.blocks:
            match block:
                case Thinking() | RedactedThinking():
                    thoughts.append((block, here))
                case Refusal():
                    refusals.append(block.text)
                case ToolUse():
                    calls.append(self._call(block, here))
                case Foreign() if block.dialect is OURS and block.kind == "custom":
                    calls.append(msgspec.Raw(block.value.encode()))
                case Image() | Document() | Audio() | Video():
                    raise Unrepresentable(here, "an assistant message cannot hold media")
                case _:
                    said.append((block, here))
        message["content"] = self._said(said)
        if message["content"] is None and not calls and not refusals:
            message["content"] = ""
        self._put_thoughts(message, thoughts)
        if refusals:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = calls
        return self._with_name(message, turn)

    def _call(self, call: ToolUse, path: str) -> Message:
        if call.cache is not None:
            self.report(f"{path}.cache", True)
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        written: Message = {"id": self._id(call.id), "type": "function", "function": function}
        opaque = call.opaque
        if opaque is not None and opaque.issuer is OURS:
            signature = wrap(opaque, carrier=OURS)
            written["extra_content"] = {"google": {"thought_signature": signature}}
        elif opaque is not None:
            self.report(f"{path}.opaque", False)
        return written

    def _put_thoughts(
        self, message: Message, thoughts: list[tuple[Thinking | RedactedThinking, str]]
    ) -> None:
        words: list[str] = []
        details: list[object] = []
        for block, path in thoughts:
            foreign = block.opaque is not None and block.opaque.issuer is not OURS
            if foreign or not self._flavour.thoughts:
                self.report(path, False)
                continue
            detail = detail_of(block, index=len(details))
            if detail is not None:
                details.append(detail)
            elif isinstance(block, Thinking) and block.opaque is None:
                words.append(block.text)
            else:
                self.report(path, False)
        if words:
            message["reasoning_content"] = "".join(words)
        if details:
            message["reasoning_details"] = details


def _marked_as_error(content: object) -> object:
    if isinstance(content, str):
        return f"{_ERROR_PREFIX}{content}" if content else _ERROR_PREFIX.strip()
    if isinstance(content, list):
        return [{"type": "text", "text": _ERROR_PREFIX}, *content]
    return content
