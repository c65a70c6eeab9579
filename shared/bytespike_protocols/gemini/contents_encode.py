"""Turns of any dialect to ``contents``, arranged as Gemini insists.

All results of a step stand alone in one content right behind the calls; text and media follow in
another. What a client of Gemini's own dialect wrote keeps its shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.gemini.fields import Path, is_json_object
from bytespike_protocols.gemini.media import media_part
from bytespike_protocols.gemini.models import Generation
from bytespike_protocols.gemini.names import is_made_up
from bytespike_protocols.gemini.signature import STAND_IN
from bytespike_protocols.ir import (
    Audio,
    Block,
    Dialect,
    Document,
    Foreign,
    Image,
    Inline,
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
    Video,
)

__all__ = ["Content", "ContentsEncoder", "write_at"]

#: Said in place of the user's words where a history begins with the model's, which is refused.
_CUT_OFF = "(Earlier messages of this conversation are left out.)"

Content = dict[str, Any]
#: An object under construction, or a foreign block's text.
Part = dict[str, Any] | msgspec.Raw
Extras = Mapping[Path, Json]


def write_at(root: Content, steps: Path, value: Json) -> None:
    """Put an extra where it came from; objects on the way are made."""
    place: Any = root
    for step in steps[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[steps[-1]] = msgspec.Raw(value.encode())


class ContentsEncoder:
    """Encodes one request's turns; what is lost is added to ``losses``."""

    __slots__ = ("_extras", "_losses", "_model", "_names", "_own", "_signature", "_turns")

    def __init__(
        self, request: Request, *, model: Generation, extras: Extras, losses: list[Loss]
    ) -> None:
        self._turns = request.turns
        self._own = request.dialect is Dialect.GEMINI
        self._model = model
        self._extras = _by_owner(extras)
        self._losses = losses
        self._names = {
            block.id: block.name
            for turn in request.turns
            for block in turn.blocks
            if isinstance(block, ToolUse)
        }
        #: A signature that came in a thinking block and belongs to the part after it.
        self._signature: str | None = None

    def encode(self) -> list[Content]:
        """The contents. Raises ``Unrepresentable`` naming the block Gemini cannot take."""
        contents = [self._content(index, turn) for index, turn in enumerate(self._turns)]
        if self._own:
            arranged = list(self._without_foreign_state(contents))
        else:
            arranged = list(_arrange(content for content in contents if content["parts"]))
            if arranged and arranged[0]["role"] == "model":
                arranged.insert(0, {"role": "user", "parts": [{"text": _CUT_OFF}]})
        if self._model.thinks_by_level:
            for content in arranged:
                _stand_in(content)
        return arranged

    def _without_foreign_state(self, contents: list[Content]) -> Iterator[Content]:
        """What a Gemini client said, fit to be said without the state of other vendors in it."""
        for content, turn in zip(contents, self._turns, strict=True):
            if content["parts"] or not any(_is_foreign_state(block) for block in turn.blocks):
                yield content

    def _content(self, index: int, turn: Turn) -> Content:
        path = f"turns[{index}]"
        if turn.role == "system":
            self._losses.append(Loss(f"{path}.role", "emulated"))
        if turn.name is not None:
            self._losses.append(Loss(f"{path}.name"))
        parts: list[Part] = []
        for number, block in enumerate(turn.blocks):
            made = self._parts(block, f"{path}.blocks[{number}]")
            if made and isinstance(made[0], dict):
                self._write_extras(made[0], ("contents", index, "parts", number))
            parts += made
        if self._signature is not None:
            parts.append({"text": "", "thoughtSignature": self._signature})
            self._signature = None
        content = {"role": "model" if turn.role == "assistant" else "user", "parts": parts}
        self._write_extras(content, ("contents", index))
        return content

    def _write_extras(self, target: Content, owner: Path) -> None:
        for steps, value in self._extras.get(owner, ()):
            write_at(target, steps, value)

    def _parts(self, block: Block, path: str) -> list[Part]:
        if getattr(block, "cache", None) is not None:
            self._losses.append(Loss(f"{path}.cache"))
        match block:
            case Text():
                return self._text(block, path)
            case Image() | Document() | Audio() | Video():
                return self._media(block, path)
            case ToolUse():
                return [self._call(block, path)]
            case ToolResult():
                return self._result(block, path)
            case Thinking() | RedactedThinking():
                return self._thinking(block, path)
            case Refusal():
                return [{"text": block.text}] if block.text else []
            case Foreign():
                if block.dialect is not Dialect.GEMINI:
                    raise Unrepresentable(path, f"Gemini has no {block.kind} blocks")
                return [msgspec.Raw(block.value.encode())]

    def _text(self, block: Text, path: str) -> list[Part]:
        if block.citations:
            self._losses.append(Loss(f"{path}.citations"))
        signature = self._signed(block.opaque, path)
        if not block.text and signature is None and not self._own:
            return []
        return [_with_signature({"text": block.text}, signature)]

    def _call(self, block: ToolUse, path: str) -> Part:
        arguments = block.arguments if block.arguments.strip() else Json("{}")
        if not is_json_object(arguments):
            raise Unrepresentable(f"{path}.arguments", "Gemini takes only an object's JSON")
        call: Content = {"name": block.name}
        call["args"] = msgspec.Raw(arguments.encode())
        if not is_made_up(block.id):
            call["id"] = block.id
        return _with_signature({"functionCall": call}, self._signed(block.opaque, path))

    def _signed(self, opaque: Opaque | None, path: str) -> str | None:
        held, self._signature = self._signature, None
        if opaque is None:
            return held
        if opaque.issuer is Dialect.GEMINI:
            return opaque.payload
        self._losses.append(Loss(f"{path}.opaque"))
        return held

    def _thinking(self, block: Thinking | RedactedThinking, path: str) -> list[Part]:
        opaque, text = block.opaque, block.text if isinstance(block, Thinking) else ""
        foreign = opaque is not None and opaque.issuer is not Dialect.GEMINI
        if foreign or (opaque is None and not self._own):
            self._losses.append(Loss(path))
            return []
        signature = opaque.payload if opaque is not None else None
        if self._own:
            return [_with_signature({"text": text, "thought": True}, signature)]
        # Elsewhere thinking blocks carry what Gemini keeps on the part that follows.
        self._signature = signature
        return []

    def _result(self, block: ToolResult, path: str) -> list[Part]:
        name = block.name or self._names.get(block.id)
        if name is None:
            raise Unrepresentable(
                f"{path}.id", "Gemini binds results by name, and no call has this id"
            )
        texts: list[str] = []
        media: list[Part] = []
        for number, item in enumerate(block.content):
            inner = f"{path}.content[{number}]"
            made = [{"text": item.text}] if isinstance(item, Text) else self._parts(item, inner)
            texts += [part["text"] for part in made if isinstance(part, dict) and "text" in part]
            media += [part for part in made if not _is(part, "text")]
        answer: Content = {"name": name}
        answer["response"] = _response(texts, is_error=block.is_error)
        if not is_made_up(block.id):
            answer["id"] = block.id
        if media and not (self._own or self._model.thinks_by_level):
            self._losses.append(Loss(f"{path}.content", "emulated"))
            return [{"functionResponse": answer}, *media]
        if media:
            answer["parts"] = media
        return [{"functionResponse": answer}]

    def _media(self, block: Image | Document | Audio | Video, path: str) -> list[Part]:
        if isinstance(block, Image) and block.detail not in (None, "auto"):
            self._losses.append(Loss(f"{path}.detail"))
        if not isinstance(block, Document):
            return [media_part(block, path, own=self._own)]
        if block.citations:
            self._losses.append(Loss(f"{path}.citations"))
        about = [words for words in (block.title, block.context) if words]
        parts: list[Part] = []
        if about:
            for name in ("title", "context"):
                if getattr(block, name):
                    self._losses.append(Loss(f"{path}.{name}", "emulated"))
            parts.append({"text": "\n".join(about)})
        if isinstance(block.source, Inline) and block.source.blocks:
            for number, inner in enumerate(block.source.blocks):
                parts += self._parts(inner, f"{path}.source.blocks[{number}]")
            return parts
        return [*parts, media_part(block, path, own=self._own)]


def _by_owner(extras: Extras) -> dict[Path, list[tuple[Path, Json]]]:
    """The extras of contents and of parts, each under the path of what they belong to."""
    owned: dict[Path, list[tuple[Path, Json]]] = {}
    for steps, value in extras.items():
        length = 4 if steps[2:3] == ("parts",) and len(steps) > 4 else 2
        owned.setdefault(steps[:length], []).append((steps[length:], value))
    return owned


def _with_signature(part: Content, signature: str | None) -> Part:
    return part if signature is None else {**part, "thoughtSignature": signature}


def _response(texts: list[str], *, is_error: bool) -> Any:
    """A result must be an object: one that is stays what it is, everything else is wrapped."""
    if not texts and not is_error:
        return {}
    words = "\n".join(texts)
    fits = is_json_object(words)
    if fits and is_error:
        fits = "error" in msgspec.json.decode(words, type=dict[str, msgspec.Raw])
    return msgspec.Raw(words.encode()) if fits else {"error" if is_error else "output": words}


def _arrange(contents: Iterable[Content]) -> Iterator[Content]:
    for role, run in groupby(contents, key=lambda content: content["role"]):
        together = list(run)
        if role == "model" and _has(together, "functionCall"):
            yield _merged(together)
        elif role == "user" and _has(together, "functionResponse"):
            yield from _results_first(together)
        else:
            yield from together


def _has(contents: list[Content], kind: str) -> bool:
    return any(_is(part, kind) for content in contents for part in content["parts"])


def _is(part: Part, kind: str) -> bool:
    return isinstance(part, dict) and kind in part


def _merged(contents: list[Content]) -> Content:
    parts = [part for content in contents for part in content["parts"]]
    return {"role": contents[0]["role"], "parts": parts}


def _results_first(contents: list[Content]) -> Iterator[Content]:
    parts = [part for content in contents for part in content["parts"]]
    yield {"role": "user", "parts": [part for part in parts if _is(part, "functionResponse")]}
    for content in contents:
        others = [part for part in content["parts"] if not _is(part, "functionResponse")]
        if others:
            yield {"role": "user", "parts": others}


def _is_foreign_state(block: Block) -> bool:
    opaque = getattr(block, "opaque", None)
    return isinstance(opaque, Opaque) and opaque.issuer is not Dialect.GEMINI


def _stand_in(content: Content) -> None:
    """The first call of a step must be signed; nobody's signature is marked as just that."""
    for index, part in enumerate(content["parts"]):
        if _is(part, "functionCall"):
            content["parts"][index] = {"thoughtSignature": STAND_IN, **part}
            return
