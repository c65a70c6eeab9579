"""The messages of the Gemini API, as far as a developer's key may use them."""

from __future__ import annotations

from typing import Any

from bytespike_cli.simulator.dialects.gemini.proto import (
    Kind,
    anything,
    boolean,
    data,
    enum,
    integer,
    message,
    number,
    repeated,
    string,
    struct,
    values,
)

__all__ = ["COUNT", "DATA", "GENERATE"]

#: What a part can be; it is one of them.
DATA = frozenset(
    {
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    }
)
_TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")


def _schema(path: str, value: Any) -> Any:
    return _SCHEMA(path, value)


#: The subset of OpenAPI that ``parameters`` and ``responseSchema`` are.
_SCHEMA: Kind = message(
    {
        "type": enum("Type", *_TYPES),
        "format": string,
        "title": string,
        "description": string,
        "nullable": boolean,
        "enum": repeated(string),
        "items": _schema,
        "maxItems": integer,
        "minItems": integer,
        "properties": values(_schema),
        "required": repeated(string),
        "propertyOrdering": repeated(string),
        "minProperties": integer,
        "maxProperties": integer,
        "minimum": number,
        "maximum": number,
        "minLength": integer,
        "maxLength": integer,
        "pattern": string,
        "example": anything,
        "default": anything,
        "anyOf": repeated(_schema),
    }
)
_BLOB = message({"mimeType": string, "data": data, "displayName": string})
_FILE = message({"mimeType": string, "fileUri": string, "displayName": string})
_PART = message(
    {
        "text": string,
        "inlineData": _BLOB,
        "fileData": _FILE,
        "functionCall": message({"id": string, "name": string, "args": struct}),
        "functionResponse": message(
            {
                "id": string,
                "name": string,
                "response": struct,
                "parts": repeated(message({"inlineData": _BLOB, "fileData": _FILE})),
                "willContinue": boolean,
                "scheduling": string,
            }
        ),
        "executableCode": struct,
        "codeExecutionResult": struct,
        "toolCall": struct,
        "toolResponse": struct,
        "thought": boolean,
        "thoughtSignature": data,
        "videoMetadata": struct,
        "mediaResolution": anything,
        "partMetadata": struct,
    },
    oneof=DATA,
)
_CONTENT = message({"role": string, "parts": repeated(_PART)})
_DECLARATION = message(
    {
        "name": string,
        "description": string,
        "behavior": enum("FunctionDeclaration.Behavior", "UNSPECIFIED", "BLOCKING", "NON_BLOCKING"),
        "parameters": _SCHEMA,
        "parametersJsonSchema": anything,
        "response": _SCHEMA,
        "responseJsonSchema": anything,
    }
)
_TOOL = message(
    {
        "functionDeclarations": repeated(_DECLARATION),
        "googleSearch": struct,
        "googleSearchRetrieval": struct,
        "googleMaps": struct,
        "codeExecution": struct,
        "urlContext": struct,
        "computerUse": struct,
        "fileSearch": struct,
        "mcpServers": repeated(struct),
    }
)
_TOOL_CONFIG = message(
    {
        "functionCallingConfig": message(
            {
                "mode": enum(
                    "FunctionCallingConfig.Mode",
                    "MODE_UNSPECIFIED",
                    "AUTO",
                    "ANY",
                    "NONE",
                    "VALIDATED",
                ),
                "allowedFunctionNames": repeated(string),
            }
        ),
        "retrievalConfig": struct,
        "includeServerSideToolInvocations": boolean,
    }
)
_THINKING = message(
    {
        "includeThoughts": boolean,
        "thinkingBudget": integer,
        "thinkingLevel": enum(
            "ThinkingConfig.ThinkingLevel",
            "THINKING_LEVEL_UNSPECIFIED",
            "MINIMAL",
            "LOW",
            "MEDIUM",
            "HIGH",
        ),
    }
)
_GENERATION = message(
    {
        "stopSequences": repeated(string),
        "responseMimeType": string,
        "responseSchema": _SCHEMA,
        "responseJsonSchema": anything,
        "responseModalities": repeated(
            enum("GenerationConfig.Modality", "MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO")
        ),
        "candidateCount": integer,
        "maxOutputTokens": integer,
        "temperature": number,
        "topP": number,
        "topK": number,
        "seed": integer,
        "presencePenalty": number,
        "frequencyPenalty": number,
        "responseLogprobs": boolean,
        "logprobs": integer,
        "enableEnhancedCivicAnswers": boolean,
        "speechConfig": struct,
        "thinkingConfig": _THINKING,
        "imageConfig": struct,
        "mediaResolution": string,
    }
)
_FIELDS: dict[str, Kind] = {
    "model": string,
    "contents": repeated(_CONTENT),
    "tools": repeated(_TOOL),
    "toolConfig": _TOOL_CONFIG,
    "safetySettings": repeated(message({"category": string, "threshold": string})),
    "systemInstruction": _CONTENT,
    "generationConfig": _GENERATION,
    "cachedContent": string,
    "serviceTier": string,
    "store": boolean,
}
#: The body of ``generateContent`` and ``streamGenerateContent``.
GENERATE: Kind = message(_FIELDS)
#: The body of ``countTokens``.
COUNT: Kind = message({"contents": repeated(_CONTENT), "generateContentRequest": GENERATE})
