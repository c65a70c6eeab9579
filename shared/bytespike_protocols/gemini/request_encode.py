"""A request of any dialect as a ``generateContent`` body, with what was lost on the way."""

from __future__ import annotations

import msgspec

from bytespike_protocols.client_paths import in_the_clients_words
from bytespike_protocols.codec import Encoded, Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.gemini.contents_encode import Content, ContentsEncoder, write_at
from bytespike_protocols.gemini.fields import parse_path
from bytespike_protocols.gemini.models import (
    Generation,
    generation,
    is_spelled_for,
    thinking_config,
)
from bytespike_protocols.gemini.names import NAMES
from bytespike_protocols.gemini.schema import to_google
from bytespike_protocols.ir import (
    Dialect,
    Json,
    JsonFormat,
    Reasoning,
    Request,
    ServerTool,
    Tool,
    ToolChoice,
)
from bytespike_protocols.renaming import rename_tools

__all__ = ["encode_request"]

_MAX_STOP_SEQUENCES = 5
_TIERS = {
    "default": "standard",
    "flex": "flex",
    "priority": "priority",
    "standard": "standard",
    "standard_only": "standard",
}
_JSON_ONLY = "Unless you call a function, answer with one valid JSON object and nothing else."
#: Where a Gemini client leaves the budget to the model.
_OWN_MEASURE = parse_path("generationConfig.thinkingConfig.thinkingBudget")
#: What of the reasoning settings was asked for.
_WISH = {"budget": ".budget_tokens", "effort": ".effort", "adaptive": "", "off": ".mode"}
_MODES = {"auto": "AUTO", "any": "ANY", "named": "ANY", "none": "NONE"}


@in_the_clients_words(Dialect.GEMINI)
def encode_request(request: Request, *, model: str) -> Encoded:
    """The body for the vendor's ``model`` (which stands in the path, as does streaming). Raises
    ``Unrepresentable`` for content Gemini cannot take.
    """
    request, renamed = rename_tools(request, NAMES)
    encoder = _RequestEncoder(request, generation(model))
    body = encoder.encode()
    return Encoded(msgspec.json.encode(body), tuple(encoder.losses), renamed)


class _RequestEncoder:
    """One request on its way; ``losses`` fills up meanwhile."""

    __slots__ = ("_model", "_own", "_request", "losses")

    def __init__(self, request: Request, model: Generation) -> None:
        self._request = request
        self._model = model
        self._own = request.dialect is Dialect.GEMINI
        self.losses: list[Loss] = []

    def encode(self) -> Content:
        request = self._request
        extras = {parse_path(extra.path): extra.value for extra in request.extras}
        if not self._own:
            self.losses += [Loss(extra.path) for extra in request.extras]
            extras = {}
        elif self._model.thinks_by_level:
            # The model's own measure is what it takes anyway, and it knows no budgets.
            extras.pop(_OWN_MEASURE, None)
        contents = ContentsEncoder(
            request, model=self._model, extras=extras, losses=self.losses
        ).encode()
        body: Content = {"contents": contents}
        self._system(body)
        if request.tools:
            body["tools"] = self._tools()
        if request.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _tool_choice(request.tool_choice)}
        config = self._config()
        if config:
            body["generationConfig"] = config
        self._account(body)
        for steps, value in extras.items():
            if steps[0] != "contents":
                write_at(body, steps, value)
        return body

    def _system(self, body: Content) -> None:
        for index, text in enumerate(self._request.system):
            if text.cache is not None:
                self._lose(f"system[{index}].cache")
        parts = [{"text": text.text} for text in self._request.system if text.text or self._own]
        if self._formats_in_words:
            parts.append({"text": _in_words(self._request.output)})
        if not (parts or body["contents"]):
            raise Unrepresentable("turns", "Gemini answers nothing but words, media or results")
        if not parts:
            return
        if body["contents"]:
            body["systemInstruction"] = {"parts": parts}
        else:
            # Nothing but instructions: Gemini wants somebody to have said something.
            self._lose("system", emulated=True)
            body["contents"] = [{"role": "user", "parts": parts}]

    def _tools(self) -> list[Content]:
        entries: list[Content] = []
        declarations: list[Content] = []
        for index, tool in enumerate(self._request.tools):
            if isinstance(tool, ServerTool):
                entries.append(self._server_tool(tool, f"tools[{index}]"))
                continue
            if not declarations:
                entries.append({"functionDeclarations": declarations})
            declarations.append(self._tool(tool, f"tools[{index}]"))
        return entries

    def _server_tool(self, tool: ServerTool, path: str) -> Content:
        if tool.dialect is Dialect.GEMINI:
            return msgspec.json.decode(tool.value, type=dict[str, msgspec.Raw])
        if tool.kind != "web_search":
            raise Unrepresentable(path, f"Gemini has no {tool.kind} tool")
        # The search is the same kind of thing; its options (domains, limits) have no place.
        self._lose(path, emulated=True)
        return {"googleSearch": {}}

    def _tool(self, tool: Tool, path: str) -> Content:
        declaration: Content = {"name": tool.name}
        if tool.description is not None:
            declaration["description"] = tool.description
        if tool.parameters is not None:
            self._schema(tool.parameters, f"{path}.parameters", declaration, "parameters")
        if tool.strict:
            self._lose(f"{path}.strict")
        if tool.cache is not None:
            self._lose(f"{path}.cache")
        for extra in tool.extras:
            if self._own:
                write_at(declaration, parse_path(extra.path)[-1:], extra.value)
            else:
                self._lose(extra.path)
        return declaration

    def _schema(self, schema: Json, path: str, target: Content, name: str) -> None:
        if self._model.reads_json_schema:
            json_name = {"parameters": "parametersJsonSchema"}.get(name, "responseJsonSchema")
            target[json_name] = msgspec.Raw(schema.encode())
            return
        older, lost = to_google(schema, path)
        self.losses += [Loss(f"{path}.{keyword}") for keyword in lost]
        if name != "parameters" or "properties" in msgspec.json.decode(older):
            target[name] = msgspec.Raw(older.encode())

    def _config(self) -> Content:
        request, sampling = self._request, self._request.sampling
        config: Content = {
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "topK": sampling.top_k,
            "seed": sampling.seed,
            "presencePenalty": sampling.presence_penalty,
            "frequencyPenalty": sampling.frequency_penalty,
            "responseLogprobs": sampling.logprobs if self._own else None,
            "logprobs": sampling.top_logprobs if self._own else None,
            "maxOutputTokens": request.max_output_tokens,
        }
        config = {name: value for name, value in config.items() if value is not None}
        if sampling.logit_bias not in (None, "{}"):
            self._lose("sampling.logit_bias")
        for name in ("logprobs", "top_logprobs"):
            if getattr(sampling, name) and not self._own:
                # The answer's probabilities could not be carried back to another dialect.
                self._lose(f"sampling.{name}")
        if request.stop_sequences:
            config["stopSequences"] = request.stop_sequences[:_MAX_STOP_SEQUENCES]
        if len(request.stop_sequences) > _MAX_STOP_SEQUENCES:
            self._lose("stop_sequences")
        self._candidates(config)
        if request.output is not None:
            self._output(request.output, config)
        if request.reasoning is not None:
            self._reasoning(request.reasoning, config)
        return config

    def _candidates(self, config: Content) -> None:
        count = self._request.candidates
        if count is None:
            return
        if self._own:
            config["candidateCount"] = count
        elif count != 1:
            raise Unrepresentable("candidates", "only one answer can be had from this model")

    @property
    def _formats_in_words(self) -> bool:
        """Where the format would be refused since there are functions too, it is an instruction."""
        request = self._request
        declares = any(isinstance(tool, Tool) for tool in request.tools)
        refused = declares and not (self._own or self._model.formats_beside_tools)
        return refused and request.output is not None

    def _output(self, output: JsonFormat, config: Content) -> None:
        if self._formats_in_words:
            self._lose("output", emulated=True)
            return
        config["responseMimeType"] = "application/json"
        if output.description is not None:
            self._lose("output.description")
        if output.schema is not None:
            self._schema(output.schema, "output.schema", config, "responseSchema")

    def _reasoning(self, reasoning: Reasoning, config: Content) -> None:
        if self._own and is_spelled_for(self._model, reasoning):
            config["thinkingConfig"] = _own_thinking(reasoning)
            return
        thinking, exact = thinking_config(reasoning, self._model)
        if self._own:
            thinking.pop("includeThoughts", None)
            if reasoning.show is not None:
                thinking["includeThoughts"] = reasoning.show
        if thinking:
            config["thinkingConfig"] = thinking
        if not exact:
            wish = "effort" if reasoning.effort is not None else reasoning.mode
            self._lose(f"reasoning{_WISH[wish]}", emulated=bool(thinking))

    def _account(self, body: Content) -> None:
        """What concerns bills and caches, not the answer."""
        request = self._request
        if request.metadata and self._own:
            body["labels"] = dict(request.metadata)
        elif request.metadata:
            self._lose("metadata")
        if request.user is not None:
            self._lose("user")
        if request.cache is not None:
            self._lose("cache")
        if request.parallel_tools is False:
            self._lose("parallel_tools")
        tier = request.service_tier
        if tier is not None and tier != "auto":
            known = tier if self._own else _TIERS.get(tier)
            if known is None:
                self._lose("service_tier")
            else:
                body["serviceTier"] = known

    def _lose(self, path: str, *, emulated: bool = False) -> None:
        self.losses.append(Loss(path, "emulated" if emulated else "dropped"))


def _tool_choice(choice: ToolChoice) -> Content:
    mode = _MODES[choice.mode]
    if mode == "AUTO" and choice.names:
        # Names are allowed with ANY and VALIDATED only; the latter still lets the model not call.
        mode = "VALIDATED"
    names = list(choice.names)
    return {"mode": mode, "allowedFunctionNames": names} if names else {"mode": mode}


def _in_words(output: JsonFormat | None) -> str:
    if output is None or output.schema is None:
        return _JSON_ONLY
    return f"{_JSON_ONLY} It must fit this JSON Schema: {output.schema}"


def _own_thinking(reasoning: Reasoning) -> Content:
    config: Content = {}
    if reasoning.mode == "off":
        config["thinkingBudget"] = 0
    elif reasoning.budget_tokens is not None:
        config["thinkingBudget"] = reasoning.budget_tokens
    if reasoning.mode == "effort" and reasoning.effort is not None:
        config["thinkingLevel"] = reasoning.effort.value.upper()
    if reasoning.show is not None:
        config["includeThoughts"] = reasoning.show
    return config
