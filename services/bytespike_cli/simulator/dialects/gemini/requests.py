"""Reading a Gemini request the way Google does: what the fields may hold, by model. Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from bytespike_cli.simulator.dialects.gemini.fields import COUNT, GENERATE
from bytespike_cli.simulator.dialects.gemini.proto import Kind, invalid
from bytespike_cli.simulator.question import Offer, Question
from bytespike_cli.simulator.reply import VendorError

__all__ = ["Model", "question", "read_count_request", "read_generate_request", "thinks"]

Json = dict[str, Any]

MAX_STOPS = 5
MAX_CANDIDATES = 8

_MODELS = ("gemini-", "gemma-", "sim-")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_MIME_TYPES = ("text/plain", "application/json", "text/x.enum")
_OURS = "GenerateContentRequest"
#: Names that only say "latest" are of the newest generation.
_NEWEST = 3


class Model(NamedTuple):
    """A model by name. ``generation`` is 0 for those of the simulator's own, which take anything
    and think when told to.
    """

    name: str

    @property
    def generation(self) -> int:
        """2 for 2.x, 3 for 3.x."""
        found = re.search(r"gemini-(\d)", self.name)
        if found:
            return int(found[1])
        return _NEWEST if self.name.startswith("gemini-") else 0

    @property
    def can_think(self) -> bool:
        """Whether ``thinkingConfig`` means anything to it."""
        return self.generation != 1 and not self.name.startswith(("gemini-2.0", "gemma-"))

    def known(self) -> bool:
        """Whether Google serves it."""
        strange = any(word in self.name for word in ("nonexistent", "there-is-no"))
        return self.name.startswith(_MODELS) and not strange


def read_generate_request(body: bytes, model: Model) -> Json:
    """The request in camelCase. Raises :class:`VendorError` for whatever Google refuses without
    looking at the history.
    """
    request = _read(GENERATE, body)
    _check(request, model)
    return request


def read_count_request(body: bytes, model: Model) -> Json:
    """The request to be counted."""
    asked = _read(COUNT, body)
    if "generateContentRequest" not in asked:
        return {"contents": asked.get("contents", [])}
    if "contents" in asked:
        raise invalid("contents and generate_content_request cannot both be set.")
    request: Json = asked["generateContentRequest"]
    _check(request, model)
    return request


def _read(kind: Kind, body: bytes) -> Json:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    if not isinstance(fields, dict):
        raise invalid("Invalid JSON payload received. Root element must be a message.")
    request: Json = kind("", fields)
    return request


def _check(request: Json, model: Model) -> None:
    if request.get("cachedContent"):
        text = "CachedContent not found (or permission denied)"
        raise VendorError(403, "PERMISSION_DENIED", text)
    _check_tools(request, model)
    _check_generation(request.get("generationConfig") or {})
    _check_thinking((request.get("generationConfig") or {}).get("thinkingConfig"), model)


def _listed(path: str, text: str) -> VendorError:
    return invalid(f"* {_OURS}.{path}: {text}\n")


def _declarations(request: Json) -> list[tuple[str, Json]]:
    return [
        (f"tools[{number}].function_declarations[{at}]", declaration)
        for number, tool in enumerate(request.get("tools") or ())
        for at, declaration in enumerate(tool.get("functionDeclarations") or ())
    ]


def _check_tools(request: Json, model: Model) -> None:
    declared = _declarations(request)
    for path, declaration in declared:
        if not _NAME.fullmatch(declaration.get("name", "")):
            raise _listed(
                f"{path}.name",
                "Invalid function name. Must start with a letter or an underscore. Must be"
                " alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes"
                " (-), with a maximum length of 128.",
            )
        if "parameters" in declaration and "parametersJsonSchema" in declaration:
            raise _listed(path, "parameters and parameters_json_schema must not both be set.")
        if "parameters" in declaration:
            _check_schema(declaration["parameters"], f"{path}.parameters", root="OBJECT")
    names = [declaration["name"] for _, declaration in declared]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise invalid(f"Duplicate function declaration found: {twice}")
    calling = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or []
    where = "tool_config.function_calling_config.allowed_function_names"
    if calling.get("mode") == "ANY" and not declared:
        raise invalid("Function calling config is set without function_declarations.")
    if allowed and calling.get("mode") not in ("ANY", "VALIDATED"):
        raise _listed(where, "only allowed when the mode is ANY or VALIDATED.")
    if stray := sorted(set(allowed) - set(names)):
        raise _listed(where, f"{stray[0]} is not a declared function.")
    mime = (request.get("generationConfig") or {}).get("responseMimeType")
    if declared and mime == "application/json" and model.generation == 2:
        raise invalid(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )


def _check_schema(schema: Json, path: str, *, root: str | None = None) -> None:
    """What is left to say of a schema once its fields are known to exist."""
    kind = schema.get("type")
    if root is not None and kind != root:
        raise _listed(path, f"schema should be of type {root}.")
    if kind is None and "anyOf" not in schema:
        raise _listed(path, "type: must be specified.")
    properties = schema.get("properties") or {}
    if kind == "ARRAY" and "items" not in schema:
        raise _listed(f"{path}.items", "missing field.")
    if schema.get("enum") and kind != "STRING":
        raise _listed(f"{path}.enum", "only allowed for STRING type")
    for at, name in enumerate(schema.get("required") or ()):
        if name not in properties:
            raise _listed(f"{path}.required[{at}]", "property is not defined")
    for name, inner in properties.items():
        _check_schema(inner, f"{path}.properties[{name}]")
    if "items" in schema:
        _check_schema(schema["items"], f"{path}.items")
    for at, inner in enumerate(schema.get("anyOf") or ()):
        _check_schema(inner, f"{path}.any_of[{at}]")


def _check_generation(config: Json) -> None:
    path = "generation_config"
    for field, low, high in (("temperature", 0, 2), ("topP", 0, 1)):
        if not low <= config.get(field, low) <= high:
            name = {"topP": "top_p"}.get(field, field)
            text = f"{name} must be in the range [{low}.0, {high}.0]."
            raise _listed(f"{path}.{name}", text)
    if config.get("maxOutputTokens", 1) < 1:
        raise _listed(f"{path}.max_output_tokens", "max_output_tokens must be positive.")
    if not 1 <= config.get("candidateCount", 1) <= MAX_CANDIDATES:
        text = f"candidate_count must be in the range [1, {MAX_CANDIDATES}]."
        raise _listed(f"{path}.candidate_count", text)
    stops = config.get("stopSequences") or []
    if len(stops) > MAX_STOPS or "" in stops:
        text = f"at most {MAX_STOPS} stop sequences are allowed, none of them empty."
        raise _listed(f"{path}.stop_sequences", text)
    _check_structure(config, path)


def _check_structure(config: Json, path: str) -> None:
    mime = config.get("responseMimeType", "text/plain")
    if mime not in _MIME_TYPES:
        text = f"allowed mimetypes are {', '.join(f'`{one}`' for one in _MIME_TYPES)}."
        raise _listed(f"{path}.response_mime_type", text)
    if "responseSchema" in config and "responseJsonSchema" in config:
        raise _listed(path, "response_schema and response_json_schema must not both be set.")
    if "responseSchema" in config:
        _check_schema(config["responseSchema"], f"{path}.response_schema")
    if {"responseSchema", "responseJsonSchema"} & config.keys() and mime == "text/plain":
        raise _listed(
            f"{path}.response_schema", "only allowed when response_mime_type is application/json."
        )


def _check_thinking(config: Json | None, model: Model) -> None:
    if config is None:
        return
    if not model.can_think:
        raise invalid(f"Thinking is not enabled for models/{model.name}")
    if "thinkingBudget" in config and "thinkingLevel" in config:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in config and model.generation == 2:
        raise invalid("Thinking level is not supported for this model.")
    if "thinkingBudget" in config and model.generation >= 3:
        raise invalid("Thinking budget is not supported for this model.")
    if config.get("thinkingBudget") == 0 and model.name.startswith("gemini-2.5-pro"):
        raise invalid("Budget 0 is invalid. This model only works in thinking mode.")


def thinks(request: Json, model: Model) -> bool:
    """Whether the model thinks: newer ones do unless told not to."""
    config = (request.get("generationConfig") or {}).get("thinkingConfig")
    if not model.can_think:
        return False
    if config is None:
        return model.generation != 0 and "2.5-flash-lite" not in model.name
    if "thinkingBudget" in config:
        return bool(config["thinkingBudget"] != 0)
    return bool(config.get("thinkingLevel") != "MINIMAL")


def question(request: Json, model: Model) -> Question:
    """What was asked. Only mode ``ANY`` makes the model call."""
    config = request.get("generationConfig") or {}
    contents = request["contents"]
    parts = [part for content in contents for part in content["parts"]]
    schema: Json | None = None
    if config.get("responseMimeType") == "application/json":
        schema = config.get("responseSchema") or config.get("responseJsonSchema") or {}
    return Question(
        said=sum(len(part.get("text", "")) for part in parts if not part.get("thought")),
        turns=len(contents),
        max_tokens=config.get("maxOutputTokens"),
        stops=config.get("stopSequences") or [],
        forced=_forced(request),
        thinks=thinks(request, model),
        schema=schema,
        thoughts_capped=True,
    )


def _forced(request: Json) -> list[Offer] | None:
    calling = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") != "ANY":
        return None
    allowed = calling.get("allowedFunctionNames")
    return [
        Offer(one["name"], one.get("parameters") or one.get("parametersJsonSchema") or {})
        for _, one in _declarations(request)
        if not allowed or one["name"] in allowed
    ]
