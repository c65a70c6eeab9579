"""No request field of an official SDK is missing from the loss policy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from anthropic import types as anthropic
from anthropic.types import message_create_params as messages
from anthropic.types.beta import message_create_params as beta_messages
from google.genai import types as google
from openai.types import chat
from openai.types import responses as responses_types
from openai.types.chat import completion_create_params as completions
from openai.types.responses import response_create_params as responses
from openai.types.shared_params import FunctionDefinition, Reasoning

from bytespike_protocols.ir import Dialect
from bytespike_protocols.loss_policy import TABLE

#: Said by a header, or by the path.
HEADERS = {"betas", "user_profile_id", "workspace_id"}
#: What the SDK does by itself and never sends.
CLIENT_SIDE = {
    "automatic_function_calling",
    "http_options",
    "should_return_http_response",
}
#: Names that differ on the wire.
RENAMED = {"generationOutputConfig": "outputConfig"}


def camel(name: str) -> str:
    word = re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
    return RENAMED.get(word, word)


def roots(client: Dialect) -> set[str]:
    """First steps of all paths; what stands in Gemini's ``generationConfig`` counts as a root."""
    paths = (row.path.removeprefix("generationConfig.") for row in TABLE[client])
    return {re.split(r"[.\[]", path)[0] for path in paths}


@pytest.mark.parametrize(
    ("client", "declared"),
    [
        (
            Dialect.ANTHROPIC,
            {
                *messages.MessageCreateParamsBase.__annotations__,
                *messages.MessageCreateParamsStreaming.__annotations__,
                *beta_messages.MessageCreateParamsBase.__annotations__,
            }
            - HEADERS,
        ),
        (
            Dialect.OPENAI_CHAT,
            {
                *completions.CompletionCreateParamsBase.__annotations__,
                *completions.CompletionCreateParamsStreaming.__annotations__,
            },
        ),
        (
            Dialect.OPENAI_RESPONSES,
            {
                *responses.ResponseCreateParamsBase.__annotations__,
                *responses.ResponseCreateParamsStreaming.__annotations__,
            },
        ),
        (
            Dialect.GEMINI,
            {
                camel(name)
                for model in (google.GenerateContentConfig, google.GenerationConfig)
                for name in model.model_fields
                if name not in CLIENT_SIDE
            },
        ),
    ],
    ids=["anthropic", "openai_chat", "openai_responses", "gemini"],
)
def test_every_field_has_a_row(client: Dialect, declared: set[str]) -> None:
    assert len(declared) > 15
    assert declared - roots(client) == set()


#: The objects clients write most, and where they stand. The type of a block is told by its case.
NESTED: list[tuple[Dialect, str, Any]] = [
    (Dialect.ANTHROPIC, "tools[]", anthropic.ToolParam),
    (Dialect.ANTHROPIC, "thinking", anthropic.ThinkingConfigEnabledParam),
    (Dialect.ANTHROPIC, "output_config", anthropic.OutputConfigParam),
    (Dialect.ANTHROPIC, "metadata", anthropic.MetadataParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.TextBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.ImageBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.DocumentBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.ToolUseBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.ToolResultBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.ThinkingBlockParam),
    (Dialect.ANTHROPIC, "messages[].content[]", anthropic.RedactedThinkingBlockParam),
    (Dialect.OPENAI_CHAT, "messages[]", chat.ChatCompletionAssistantMessageParam),
    (Dialect.OPENAI_CHAT, "messages[]", chat.ChatCompletionToolMessageParam),
    (Dialect.OPENAI_CHAT, "messages[]", chat.ChatCompletionUserMessageParam),
    (Dialect.OPENAI_CHAT, "messages[].content[]", chat.ChatCompletionContentPartTextParam),
    (Dialect.OPENAI_CHAT, "messages[].content[]", chat.ChatCompletionContentPartImageParam),
    (Dialect.OPENAI_CHAT, "messages[].content[]", chat.ChatCompletionContentPartInputAudioParam),
    (Dialect.OPENAI_CHAT, "tools[]", chat.ChatCompletionFunctionToolParam),
    (Dialect.OPENAI_CHAT, "tools[].function", FunctionDefinition),
    (Dialect.OPENAI_CHAT, "stream_options", chat.ChatCompletionStreamOptionsParam),
    (Dialect.OPENAI_RESPONSES, "tools[]", responses_types.FunctionToolParam),
    (Dialect.OPENAI_RESPONSES, "text", responses_types.ResponseTextConfigParam),
    (Dialect.OPENAI_RESPONSES, "reasoning", Reasoning),
    (Dialect.OPENAI_RESPONSES, "input[]", responses_types.EasyInputMessageParam),
    (Dialect.OPENAI_RESPONSES, "input[]", responses_types.ResponseFunctionToolCallParam),
    (Dialect.OPENAI_RESPONSES, "input[]", responses_types.ResponseReasoningItemParam),
    (Dialect.OPENAI_RESPONSES, "input[].content[]", responses_types.ResponseInputTextParam),
    (Dialect.OPENAI_RESPONSES, "input[].content[]", responses_types.ResponseInputImageParam),
    (Dialect.OPENAI_RESPONSES, "input[].content[]", responses_types.ResponseInputFileParam),
    (Dialect.GEMINI, "contents[]", google.Content),
    (Dialect.GEMINI, "contents[].parts[]", google.Part),
    (Dialect.GEMINI, "contents[].parts[].functionCall", google.FunctionCall),
    (Dialect.GEMINI, "contents[].parts[].functionResponse", google.FunctionResponse),
    (Dialect.GEMINI, "tools[]", google.Tool),
    (Dialect.GEMINI, "tools[].functionDeclarations[]", google.FunctionDeclaration),
    (Dialect.GEMINI, "toolConfig", google.ToolConfig),
    (Dialect.GEMINI, "toolConfig.functionCallingConfig", google.FunctionCallingConfig),
    (Dialect.GEMINI, "generationConfig.thinkingConfig", google.ThinkingConfig),
]


@pytest.mark.parametrize(
    ("client", "path", "kind"), NESTED, ids=[f"{c}-{kind.__name__}" for c, _, kind in NESTED]
)
def test_every_nested_field_has_a_row(client: Dialect, path: str, kind: Any) -> None:
    if hasattr(kind, "model_fields"):
        declared = {camel(name) for name in kind.model_fields}
    else:
        declared = set(kind.__annotations__) - {"type"}
    known = {
        re.split(r"[.\[]", row.path.removeprefix(f"{path}."))[0]
        for row in TABLE[client]
        if row.path.startswith(f"{path}.")
    }
    assert declared
    assert declared - known == set()
