"""The contents of a Gemini request: roles, parts, calls with their responses, and signatures."""

from __future__ import annotations

import base64
from typing import Any

from bytespike_cli.simulator.dialects.gemini.fields import DATA
from bytespike_cli.simulator.dialects.gemini.proto import invalid
from bytespike_cli.simulator.dialects.gemini.requests import Model
from bytespike_cli.simulator.issued import Issued

__all__ = ["check_history"]

Json = dict[str, Any]

#: A part needs one of these; state or a cut of a video may stand alone.
_TELLING = DATA | {"thoughtSignature", "videoMetadata"}
_OURS = "GenerateContentRequest"
#: What Google documents for calls that another model made: taken in place of a signature. Its
#: clients send it in base64, as they do all bytes.
_WORDS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
STAND_INS = frozenset(
    [*_WORDS, *(base64.b64encode(word.encode()).decode().rstrip("=") for word in _WORDS)]
)


def check_history(request: Json, model: Model, dialect: str, issued: Issued) -> None:
    """Raises :class:`VendorError`."""
    contents: list[Json] = request.get("contents") or []
    if not contents:
        raise invalid(f"* {_OURS}.contents: contents is not specified\n")
    for number, content in enumerate(contents):
        _check_content(number, content)
    for content in contents:
        for part in content["parts"]:
            signature = part.get("thoughtSignature")
            if signature is None or signature.rstrip("=") in STAND_INS:
                continue
            if not issued.knows(dialect, signature):
                raise invalid("Corrupted thought signature.")
    turns = _turns(contents)
    for number, turn in enumerate(turns):
        _check_turn(turns, number, turn)
    if model.generation >= 3:
        _check_signed(turns)


def _turns(contents: list[Json]) -> list[Json]:
    """The contents with those of the model that follow each other made one."""
    turns: list[Json] = []
    for content in contents:
        if turns and content.get("role") == turns[-1].get("role") == "model":
            turns[-1] = {"role": "model", "parts": [*turns[-1]["parts"], *content["parts"]]}
        else:
            turns.append(content)
    return turns


def _check_content(number: int, content: Json) -> None:
    if content.get("role", "user") not in ("user", "model", "function"):
        raise invalid("Please use a valid role: user, model.")
    path = f"{_OURS}.contents[{number}].parts"
    if not content.get("parts"):
        raise invalid(f"* {path}: contents.parts must not be empty.\n")
    for at, part in enumerate(content["parts"]):
        if not _TELLING & part.keys():
            text = "required oneof field 'data' must have one initialized field"
            raise invalid(f"* {path}[{at}].data: {text}\n")
        for field, words in (("functionCall", "call"), ("functionResponse", "response")):
            if field in part and not part[field].get("name"):
                raise invalid(f"* {path}[{at}].function_{words}.name: Name cannot be empty.\n")


def _of(content: Json, field: str) -> list[Json]:
    return [part[field] for part in content["parts"] if field in part]


def _check_turn(contents: list[Json], number: int, content: Json) -> None:
    """A call turn follows the user's and is followed by as many responses in one content."""
    before = contents[number - 1] if number else None
    calls, responses = _of(content, "functionCall"), _of(content, "functionResponse")
    if calls and (before is None or before.get("role", "user") == "model"):
        raise invalid(
            "Please ensure that function call turn comes immediately after a user turn or after a"
            " function response turn."
        )
    if responses and (before is None or not _of(before, "functionCall")):
        raise invalid(
            "Please ensure that function response turn comes immediately after a function call"
            " turn."
        )
    if calls:
        following = contents[number + 1] if number + 1 < len(contents) else {"parts": []}
        _check_answered(calls, following)


def _check_answered(calls: list[Json], following: Json) -> None:
    answered = _of(following, "functionResponse")
    kinds = [kind for part in following["parts"] for kind in DATA & part.keys()]
    beside = set(kinds[: len(answered)]) - {"functionResponse"}
    if len(answered) != len(calls) or beside or {"inlineData", "fileData"} & set(kinds):
        raise invalid(
            "Please ensure that the number of function response parts is equal to the number of"
            " function call parts of the function call turn."
        )
    for field in ("name", "id"):
        called = sorted(call.get(field, "") for call in calls)
        given = sorted(response.get(field, "") for response in answered)
        if called != given and (field == "name" or any(given)):
            raise invalid(
                f"Please ensure that the {field} of each function response matches that of a"
                " function call of the function call turn."
            )


def _check_signed(contents: list[Json]) -> None:
    """In the current turn the first call of every step brings its signature back."""
    asked = [
        number
        for number, content in enumerate(contents)
        if content.get("role", "user") == "user" and not _of(content, "functionResponse")
    ]
    position = 0
    for number, content in enumerate(contents):
        for part in content["parts"]:
            position += 1
            if "functionCall" not in part:
                continue
            if number > max(asked, default=-1) and "thoughtSignature" not in part:
                raise invalid(
                    "Function call is missing a thought_signature in functionCall parts. This is"
                    " required for tools to work correctly, and missing thought_signature may lead"
                    " to degraded model performance. Additional data, function call"
                    f" `default_api:{part['functionCall']['name']}` , position {position}. Please"
                    " refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more"
                    " details."
                )
            break
