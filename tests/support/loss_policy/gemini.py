"""A request for every row of the table of Gemini's clients."""

from __future__ import annotations

from typing import Any

from tests.support.loss_policy.sample import Sample

__all__ = ["SAMPLES"]

SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "string"}},
    "required": ["x"],
    "additionalProperties": False,
}
GOOGLE_SCHEMA = {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}, "required": ["x"]}
OPEN = {"type": "object", "properties": {"x": {"type": "string"}}}
FUNCTION = {"name": "f", "description": "does f", "parametersJsonSchema": SCHEMA}
CALL = {"functionCall": {"name": "f", "args": {"x": "1"}, "id": "c1"}}
RESULT = {"functionResponse": {"name": "f", "response": {"output": "done"}, "id": "c1"}}
PNG = {"mimeType": "image/png", "data": "iVBORw0KGgo="}
PDF = {"mimeType": "application/pdf", "data": "JVBERi0="}
LIMITS = {"maxOutputTokens": 4000}
LONG = ["a", "b", "c", "d", "e"]


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def asking(*contents: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"contents": list(contents), "generationConfig": LIMITS, **fields}


PLAIN = asking(said("user", text("hi")))
TALK = asking(said("user", text("hi")), said("model", text("yes")), said("user", text("go")))
TOOLS = asking(said("user", text("hi")), tools=[{"functionDeclarations": [FUNCTION]}])
LOOP = asking(
    said("user", text("hi")),
    said("model", CALL),
    said("user", RESULT),
    tools=[{"functionDeclarations": [FUNCTION]}],
)
JSON = {**PLAIN, "generationConfig": {**LIMITS, "responseMimeType": "application/json"}}
CALLING = "toolConfig.functionCallingConfig"

#: Kinds of parts, fields beside any part, and tools that only Google has.
SERVER_PARTS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
NOTES = (
    "audioMetadata",
    "audioTranscription",
    "documentMetadata",
    "mediaProcessing",
    "mediaResolution",
    "partMetadata",
    "speechMetadata",
    "spreadsheetMetadata",
    "videoMetadata",
)
SERVER_TOOLS = (
    "codeExecution",
    "computerUse",
    "enterpriseWebSearch",
    "exaAiSearch",
    "fileSearch",
    "googleMaps",
    "googleSearchRetrieval",
    "mcpServers",
    "parallelAiSearch",
    "retrieval",
    "urlContext",
)

SAMPLES: dict[tuple[str, str], Sample] = {
    ("contents", ""): Sample(TALK["contents"], PLAIN, other=PLAIN["contents"]),
    ("contents[].role", ""): Sample("model", TALK, at="contents[1].role", other="user"),
    ("contents[]", "the model's at the end"): Sample(said("model", text("yes")), PLAIN),
    ("contents[].parts[].text", ""): Sample("words", PLAIN, other="others"),
    ("contents[].parts[].inlineData", "image"): Sample(
        {"inlineData": PNG}, PLAIN, at="contents[].parts[]"
    ),
    ("contents[].parts[].inlineData", "application/pdf"): Sample(
        {"inlineData": PDF}, PLAIN, at="contents[].parts[]"
    ),
    ("contents[].parts[].inlineData", "text"): Sample(
        {"inlineData": {"mimeType": "text/plain", "data": "aGk="}}, PLAIN, at="contents[].parts[]"
    ),
    ("contents[].parts[].inlineData", "audio"): Sample(
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        PLAIN,
        at="contents[].parts[]",
    ),
    ("contents[].parts[].inlineData", "video"): Sample(
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}, PLAIN, at="contents[].parts[]"
    ),
    ("contents[].parts[].inlineData.displayName", ""): Sample(
        "a", asking(said("user", {"inlineData": PNG}))
    ),
    ("contents[].parts[].fileData", "image: https"): Sample(
        {"fileData": {"mimeType": "image/png", "fileUri": "https://e.org/a.png"}},
        PLAIN,
        at="contents[].parts[]",
    ),
    ("contents[].parts[].fileData", "document: https"): Sample(
        {"fileData": {"mimeType": "application/pdf", "fileUri": "https://e.org/a.pdf"}},
        PLAIN,
        at="contents[].parts[]",
    ),
    ("contents[].parts[].fileData", "kept by Google"): Sample(
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a.png"}},
        PLAIN,
        at="contents[].parts[]",
    ),
    ("contents[].parts[].functionCall.name", ""): Sample(
        "g", LOOP, at="contents[1].parts[0].functionCall.name", other="f"
    ),
    ("contents[].parts[].functionCall.args", ""): Sample(
        {"x": "2"}, LOOP, at="contents[1].parts[0].functionCall.args", other={"x": "1"}
    ),
    ("contents[].parts[].functionCall.id", ""): Sample(
        [
            said("user", text("hi")),
            said("model", {"functionCall": {**CALL["functionCall"], "id": "c2"}}),
            said("user", {"functionResponse": {**RESULT["functionResponse"], "id": "c2"}}),
        ],
        LOOP,
        at="contents",
        other=LOOP["contents"],
    ),
    ("contents[].parts[].functionResponse.response", ""): Sample(
        {"output": "42"}, LOOP, other={"output": "43"}
    ),
    ("contents[].parts[].functionResponse.response", "error"): Sample(
        {"error": "done"}, LOOP, other={"output": "done"}
    ),
    ("contents[].parts[].functionResponse.parts[].inlineData", ""): Sample(
        {"inlineData": PNG}, LOOP, at="contents[].parts[].functionResponse.parts[]"
    ),
    ("contents[].parts[].functionResponse.name", ""): Sample("g", LOOP, other="f"),
    ("contents[].parts[].functionResponse.scheduling", ""): Sample("SILENT", LOOP),
    ("contents[].parts[].functionResponse.willContinue", ""): Sample(True, LOOP),
    ("contents[].parts[].functionResponse.id", "without a call"): Sample(
        [said("user", RESULT)], LOOP, at="contents", other=LOOP["contents"]
    ),
    ("contents[].parts[].thought", ""): Sample(
        {"text": "hm", "thought": True}, TALK, at="contents[1].parts[]"
    ),
    ("contents[].parts[].thoughtSignature", "Google's own"): Sample(
        "c2ln", LOOP, at="contents[1].parts[0].thoughtSignature"
    ),
    **{
        (f"contents[].parts[].{kind}", ""): Sample({kind: {}}, TALK, at="contents[1].parts[]")
        for kind in SERVER_PARTS
    },
    **{(f"contents[].parts[].{name}", ""): Sample({"k": "v"}, PLAIN) for name in NOTES},
    ("contents[].parts[].functionCall.partialArgs", ""): Sample(
        [{"jsonPath": "$.x"}], LOOP, at="contents[1].parts[0].functionCall.partialArgs"
    ),
    ("contents[].parts[].functionCall.willContinue", ""): Sample(
        True, LOOP, at="contents[1].parts[0].functionCall.willContinue"
    ),
    ("systemInstruction", ""): Sample({"parts": [text("be kind")]}, PLAIN),
    ("systemInstruction.role", ""): Sample(
        "system", {**PLAIN, "systemInstruction": {"parts": [text("be kind")]}}
    ),
    ("tools[].functionDeclarations[].name", ""): Sample("g", TOOLS, other="f"),
    ("tools[].functionDeclarations[].description", ""): Sample("words", TOOLS),
    ("tools[].functionDeclarations[].parametersJsonSchema", ""): Sample(SCHEMA, TOOLS),
    ("tools[].functionDeclarations[].parameters", ""): Sample(
        GOOGLE_SCHEMA,
        {**PLAIN, "tools": [{"functionDeclarations": [{"name": "f"}]}]},
    ),
    ("tools[].functionDeclarations[].behavior", ""): Sample("NON_BLOCKING", TOOLS),
    ("tools[].functionDeclarations[].response", ""): Sample(GOOGLE_SCHEMA, TOOLS),
    ("tools[].functionDeclarations[].responseJsonSchema", ""): Sample(SCHEMA, TOOLS),
    ("tools[].googleSearch", ""): Sample({"googleSearch": {}}, TOOLS, at="tools[]"),
    **{(f"tools[].{tool}", ""): Sample({tool: {}}, TOOLS, at="tools[]") for tool in SERVER_TOOLS},
    (f"{CALLING}.mode", "AUTO, ANY, NONE"): Sample("ANY", TOOLS),
    (f"{CALLING}.mode", "VALIDATED"): Sample("VALIDATED", TOOLS),
    (f"{CALLING}.allowedFunctionNames", "one"): Sample(
        {"mode": "ANY", "allowedFunctionNames": ["f"]}, TOOLS, at=CALLING, other={"mode": "ANY"}
    ),
    (f"{CALLING}.allowedFunctionNames", "several"): Sample(
        {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
        {
            **PLAIN,
            "tools": [{"functionDeclarations": [{"name": name} for name in ("f", "g", "h")]}],
        },
        at=CALLING,
        other={"mode": "ANY"},
    ),
    (f"{CALLING}.streamFunctionCallArguments", ""): Sample(True, TOOLS),
    ("toolConfig.retrievalConfig", ""): Sample({"languageCode": "de"}, TOOLS),
    ("toolConfig.includeServerSideToolInvocations", ""): Sample(True, TOOLS),
    ("generationConfig.maxOutputTokens", ""): Sample(4000, PLAIN, other=5000),
    ("generationConfig.maxOutputTokens", "below 16"): Sample(5, PLAIN, other=16),
    ("generationConfig.stopSequences", "up to 4"): Sample(["END"], PLAIN),
    ("generationConfig.stopSequences", "5"): Sample(LONG, PLAIN),
    ("generationConfig.temperature", "up to 1"): Sample(0.5, PLAIN),
    ("generationConfig.temperature", "above 1"): Sample(1.5, PLAIN),
    ("generationConfig.topP", "alone"): Sample(0.5, PLAIN),
    ("generationConfig.topP", "beside temperature"): Sample(
        0.5, {**PLAIN, "generationConfig": {**LIMITS, "temperature": 0.5}}
    ),
    ("generationConfig.topK", ""): Sample(40, PLAIN),
    ("generationConfig.seed", ""): Sample(7, PLAIN),
    ("generationConfig.presencePenalty", "not 0"): Sample(0.5, PLAIN),
    ("generationConfig.frequencyPenalty", "not 0"): Sample(0.5, PLAIN),
    ("generationConfig.responseLogprobs", "true"): Sample(True, PLAIN),
    ("generationConfig.logprobs", ""): Sample(3, PLAIN),
    ("generationConfig.candidateCount", "1"): Sample(1, PLAIN),
    ("generationConfig.candidateCount", "more than 1"): Sample(2, PLAIN),
    ("generationConfig.responseMimeType", "text/plain"): Sample("text/plain", PLAIN),
    ("generationConfig.responseMimeType", "application/json"): Sample("application/json", PLAIN),
    ("generationConfig.responseMimeType", "anything else"): Sample("text/x.enum", PLAIN),
    ("generationConfig.responseJsonSchema", "closed objects"): Sample(
        {**JSON["generationConfig"], "responseJsonSchema": SCHEMA},
        PLAIN,
        at="generationConfig",
        other=LIMITS,
    ),
    ("generationConfig.responseJsonSchema", "open objects"): Sample(
        {**JSON["generationConfig"], "responseJsonSchema": OPEN},
        PLAIN,
        at="generationConfig",
        other=LIMITS,
    ),
    ("generationConfig.responseSchema", ""): Sample(
        {
            **JSON["generationConfig"],
            "responseSchema": {**GOOGLE_SCHEMA, "additionalProperties": False},
        },
        PLAIN,
        at="generationConfig",
        other=LIMITS,
    ),
    ("generationConfig.responseModalities", "TEXT"): Sample(["TEXT"], PLAIN),
    ("generationConfig.responseModalities", "others"): Sample(["TEXT", "IMAGE"], PLAIN),
    ("generationConfig.thinkingConfig.thinkingBudget", "0"): Sample(0, PLAIN),
    ("generationConfig.thinkingConfig.thinkingBudget", "-1"): Sample(-1, PLAIN),
    ("generationConfig.thinkingConfig.thinkingBudget", "more"): Sample(2048, PLAIN),
    ("generationConfig.thinkingConfig.thinkingLevel", "MINIMAL"): Sample("MINIMAL", PLAIN),
    ("generationConfig.thinkingConfig.thinkingLevel", "LOW, MEDIUM, HIGH"): Sample("LOW", PLAIN),
    ("generationConfig.thinkingConfig.includeThoughts", "true"): Sample(
        True, {**PLAIN, "generationConfig": {**LIMITS, "thinkingConfig": {"thinkingLevel": "LOW"}}}
    ),
    ("generationConfig.audioTimestamp", ""): Sample(True, PLAIN),
    ("generationConfig.audioTranscriptionConfig", ""): Sample({}, PLAIN),
    ("generationConfig.enableAffectiveDialog", ""): Sample(True, PLAIN),
    ("generationConfig.enableEnhancedCivicAnswers", ""): Sample(True, PLAIN),
    ("generationConfig.imageConfig", ""): Sample({"aspectRatio": "1:1"}, PLAIN),
    ("generationConfig.mediaResolution", ""): Sample("MEDIA_RESOLUTION_LOW", PLAIN),
    ("generationConfig.modelConfig", ""): Sample({"featureSelectionPreference": "x"}, PLAIN),
    ("generationConfig.modelSelectionConfig", ""): Sample(
        {"featureSelectionPreference": "x"}, PLAIN
    ),
    ("generationConfig.responseFormat", ""): Sample({"text": {}}, PLAIN),
    ("generationConfig.routingConfig", ""): Sample({"autoMode": {}}, PLAIN),
    ("generationConfig.speechConfig", ""): Sample({"languageCode": "de-DE"}, PLAIN),
    ("generationConfig.translationConfig", ""): Sample({"target": "de"}, PLAIN),
    ("safetySettings", ""): Sample(
        [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}], PLAIN
    ),
    ("modelArmorConfig", ""): Sample({"promptTemplateName": "t"}, PLAIN),
    ("cachedContent", ""): Sample("cachedContents/1", PLAIN),
    ("continuationToken", ""): Sample("t", PLAIN),
    ("automaticContinuation", ""): Sample(True, PLAIN),
    ("outputConfig", ""): Sample({"gcsDestination": {}}, PLAIN),
    ("labels", ""): Sample({"team": "x"}, PLAIN),
    ("serviceTier", "standard"): Sample("standard", PLAIN),
    ("serviceTier", "flex, priority"): Sample("flex", PLAIN),
    ("store", "false"): Sample(False, PLAIN),
    ("store", "true"): Sample(True, PLAIN),
}
