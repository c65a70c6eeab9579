"""What bodies of Chat, Responses and Gemini hold besides text (Anthropic: ``test_worst_case``)."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import Rates
from bytespike_edge.contents import read_contents
from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, MAX_PAGES, Contents
from bytespike_edge.worst_case import (
    AUDIO_TOKENS_PER_S,
    FRAME_TOKENS,
    IMAGE_TOKENS,
    IMAGE_TOKENS_OF,
    LARGE_IMAGE_TOKENS,
    PAGE_TOKENS,
    SEARCH_RESULT_TOKENS,
    TOOL_PROMPT_TOKENS,
    WorstCase,
    worst_case,
)
from bytespike_protocols.heads import Head
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import shallow

CHAT, RESPONSES, GEMINI = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.GEMINI
MODEL = Model(id="m", vendor="v", family="f", context_window=1_000_000, max_output_tokens=64_000)
RATES = Rates(
    input_uusd=3_000_000,
    output_uusd=15_000_000,
    cache_read_uusd=300_000,
    cache_write_5m_uusd=3_750_000,
    cache_write_1h_uusd=6_000_000,
    web_search_uusd=10_000_000,
)
#: 150,000 bytes: an image like any other, 50 pages, 200 s of the thinnest speech, 25 s of video.
BYTES = base64.b64encode(bytes(150_000)).decode()


#: A cap that leaves the input alone.
NOTHING_OUT = Head("m", 0)


def data_url(media_type: str) -> str:
    return f"data:{media_type};base64,{BYTES}"


def chat(*parts: Any, **fields: Any) -> bytes:
    messages = [{"role": "user", "content": list(parts)}]
    return msgspec.json.encode({"messages": messages, **fields})


def responses(*parts: Any, **fields: Any) -> bytes:
    given = [{"role": "user", "content": list(parts)}]
    return msgspec.json.encode({"input": given, **fields})


def gemini(*parts: Any, **fields: Any) -> bytes:
    return msgspec.json.encode({"contents": [{"parts": list(parts)}], **fields})


def contents(dialect: Dialect, body: bytes) -> Contents:
    return read_contents(dialect, shallow(body))


def bound(dialect: Dialect, body: bytes, head: Head = NOTHING_OUT, model: str = "m") -> WorstCase:
    return worst_case(
        len(body),
        shallow(body),
        dialect=dialect,
        head=head,
        model=msgspec.structs.replace(MODEL, id=model),
        rates=RATES,
    )


def chat_image(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def inline(media_type: str, **more: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": BYTES}, **more}


PICTURES = [
    (CHAT, chat(chat_image(data_url("image/png")))),
    (CHAT, chat({"type": "image_url", "image_url": data_url("image/png")})),
    (CHAT, chat(chat_image(data_url("image/png"))).replace(b"image/png", b"image\\/png")),
    (RESPONSES, responses({"type": "input_image", "image_url": data_url("image/png")})),
    (
        RESPONSES,
        msgspec.json.encode(
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "output": [{"type": "input_image", "image_url": data_url("image/png")}],
                    }
                ]
            }
        ),
    ),
    (
        RESPONSES,
        msgspec.json.encode(
            {
                "input": [
                    {
                        "type": "computer_call_output",
                        "output": {
                            "type": "computer_screenshot",
                            "image_url": data_url("image/png"),
                        },
                    }
                ]
            }
        ),
    ),
    (
        RESPONSES,
        msgspec.json.encode({"input": [{"type": "image_generation_call", "result": BYTES}]}),
    ),
    (GEMINI, gemini(inline("image/png"))),
    (GEMINI, gemini({"inline_data": {"mime_type": "image/png", "data": BYTES}})),
    (GEMINI, gemini({"functionResponse": {"name": "f", "parts": [inline("image/png")]}})),
    (GEMINI, msgspec.json.encode({"contents": {"parts": inline("image/png")}})),
    (GEMINI, gemini(systemInstruction={"parts": [inline("image/png")]})),
]


@pytest.mark.parametrize(("dialect", "body"), PICTURES)
def test_a_picture_counts_as_one_not_by_its_bytes(dialect: Dialect, body: bytes) -> None:
    found = contents(dialect, body)
    assert (found.images, found.unmeasured) == (1, False)
    assert len(BYTES) < found.media_bytes < len(BYTES) + 40
    assert bound(dialect, body).input_tokens == (
        -(-(len(body) - found.media_bytes) // 3) + IMAGE_TOKENS
    )


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat(chat_image("https://x/y.png"))),
        (CHAT, chat({"type": "image_url"})),
        (RESPONSES, responses({"type": "input_image", "image_url": "https://x/y.png"})),
        (RESPONSES, responses({"type": "input_image", "file_id": "file-1"})),
        (GEMINI, gemini({"fileData": {"mimeType": "image/png", "fileUri": "https://x/y"}})),
    ],
)
def test_a_picture_by_reference_counts_too(dialect: Dialect, body: bytes) -> None:
    found = contents(dialect, body)
    assert (found.images, found.media_bytes, found.unmeasured) == (1, 0, False)


def test_pictures_in_full_resolution_and_models_that_count_them_many_times() -> None:
    large = chat(chat_image("https://x/y.png", detail="original"))
    usual = chat(chat_image("https://x/y.png", detail="high"))
    text = -(-len(large) // 3)
    assert bound(CHAT, large).input_tokens == text + LARGE_IMAGE_TOKENS
    (name,) = IMAGE_TOKENS_OF
    dear = bound(CHAT, usual, model=name).input_tokens
    assert dear == -(-len(usual) // 3) + IMAGE_TOKENS_OF[name]


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "file", "file": {"file_data": data_url("application/pdf")}})),
        (CHAT, chat({"type": "file", "file": {"file_data": BYTES}})),
        (CHAT, chat(chat_image(data_url("application/pdf")))),
        (RESPONSES, responses({"type": "input_file", "file_data": data_url("application/pdf")})),
        (GEMINI, gemini(inline("application/pdf"))),
    ],
)
def test_documents_count_by_pages(dialect: Dialect, body: bytes) -> None:
    found = contents(dialect, body)
    assert found.pages == 51  # base64 and its quotes, rounded up
    expected = -(-(len(body) - found.media_bytes) // 3) + 51 * PAGE_TOKENS
    assert bound(dialect, body).input_tokens == expected


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "file", "file": {"file_id": "file-1"}})),
        (CHAT, chat({"type": "file", "file": {"file_data": "https://x/y.pdf"}})),
        (CHAT, chat({"type": "file"})),
        (RESPONSES, responses({"type": "input_file", "file_url": "https://x/y.pdf"})),
        (GEMINI, gemini({"fileData": {"mimeType": "application/pdf", "fileUri": "gs://x"}})),
    ],
)
def test_a_document_by_reference_is_as_long_as_documents_get(dialect: Dialect, body: bytes) -> None:
    assert contents(dialect, body).pages == MAX_PAGES


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "file", "file": {"file_data": data_url("text/plain")}})),
        (RESPONSES, responses({"type": "input_file", "file_data": data_url("text/csv")})),
        (GEMINI, gemini(inline("text/plain; charset=utf-8"))),
        (GEMINI, gemini(inline("application/json"))),
    ],
)
def test_a_text_file_counts_by_its_bytes(dialect: Dialect, body: bytes) -> None:
    assert bound(dialect, body).input_tokens == -(-len(body) // 3)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}})),
        (RESPONSES, responses({"type": "input_audio", "input_audio": {"data": BYTES}})),
        (GEMINI, gemini(inline("audio/mp3"))),
    ],
)
def test_sound_counts_by_the_second(dialect: Dialect, body: bytes) -> None:
    found = contents(dialect, body)
    assert found.audio_s == 202
    expected = -(-(len(body) - found.media_bytes) // 3) + 202 * AUDIO_TOKENS_PER_S
    assert bound(dialect, body).input_tokens == expected


@pytest.mark.parametrize(
    ("fps", "frames"), [(None, 27), (0.1, 27), (2, 53), ("2", 53), (1e308, 625)]
)
def test_video_counts_by_the_frame(fps: object, frames: int) -> None:
    more = {} if fps is None else {"videoMetadata": {"fps": fps}}
    body = gemini(inline("video/mp4", **more))
    found = contents(GEMINI, body)
    assert found.video_frames == frames
    expected = -(-(len(body) - found.media_bytes) // 3) + frames * FRAME_TOKENS
    assert bound(GEMINI, body).input_tokens == expected


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}})),
        (CHAT, chat({"type": "file", "file": {"file_data": data_url("application/zip")}})),
        (CHAT, msgspec.json.encode({"messages": [{"role": "assistant", "audio": {"id": "a"}}]})),
        (RESPONSES, responses(previous_response_id="resp_1")),
        (RESPONSES, responses(conversation={"id": "conv_1"})),
        (RESPONSES, responses(prompt={"id": "pmpt_1"})),
        (RESPONSES, msgspec.json.encode({"input": [{"type": "item_reference", "id": "rs_1"}]})),
        (RESPONSES, responses({"type": "input_novelty"})),
        (GEMINI, gemini({"fileData": {"fileUri": "https://youtu.be/x"}})),
        (GEMINI, gemini({"file_data": {"mime_type": "video/mp4", "file_uri": "files/x"}})),
        (GEMINI, gemini(inline("application/zip"))),
        (GEMINI, gemini({"inlineData": {"data": BYTES}})),
        (GEMINI, gemini(cachedContent="cachedContents/x")),
        (GEMINI, gemini(cached_content="cachedContents/x")),
    ],
)
def test_what_has_no_size_here_may_fill_the_context(dialect: Dialect, body: bytes) -> None:
    assert contents(dialect, body).unmeasured
    assert bound(dialect, body).input_tokens == MODEL.context_window


@pytest.mark.parametrize(
    ("dialect", "body", "searches", "lookups"),
    [
        (CHAT, chat(web_search_options={}), 1, 0),
        (CHAT, chat(web_search_options={"search_context_size": "low"}), 1, 0),
        (CHAT, chat(web_search_options=None), 0, 0),
        (CHAT, chat(web_search=True, grounding={}), 2, 0),
        (CHAT, chat(web_search=False), 0, 0),
        (CHAT, chat(tools=[{"type": "web_search"}, {"type": "google_search"}]), 2, 0),
        (CHAT, chat(tools=[{"type": "function", "function": {"name": "web_search"}}]), 0, 0),
        (RESPONSES, responses(tools=[{"type": "web_search"}]), 1, 0),
        (RESPONSES, responses(tools=[{"type": "web_search_preview_2025_03_11"}]), 1, 0),
        (RESPONSES, responses(tools=[{"type": "web_search"}], max_tool_calls=3), 1, 0),
        (RESPONSES, responses(tools=[{"type": "web_search"}], max_tool_calls=30), 3, 0),
        (RESPONSES, responses(tools=[{"type": "mcp"}, {"type": "file_search"}]), 0, 2),
        (RESPONSES, responses(tools=[{"type": "function"}, {"type": "custom"}]), 0, 0),
        (GEMINI, gemini(tools=[{"googleSearch": {}}]), 1, 0),
        (GEMINI, gemini(tools=[{"google_search": {}, "urlContext": {}}]), 1, 1),
        (GEMINI, gemini(tools={"googleSearchRetrieval": {}}), 1, 0),
        (GEMINI, gemini(tools=[{"googleSearch": None}, {"functionDeclarations": []}]), 0, 0),
    ],
)
def test_searches_count_as_uses_and_as_input(
    dialect: Dialect, body: bytes, searches: int, lookups: int
) -> None:
    found = contents(dialect, body)
    expected = (searches * DEFAULT_SEARCHES, lookups * DEFAULT_SEARCHES)
    assert (found.searches, found.lookups) == expected
    priced = bound(dialect, body)
    assert priced.usage.web_searches == expected[0]
    prompt = TOOL_PROMPT_TOKENS if found.tools else 0
    steps = sum(expected) * SEARCH_RESULT_TOKENS
    assert priced.input_tokens == -(-len(body) // 3) + prompt + steps


@pytest.mark.parametrize(
    "body",
    [
        chat({"type": "text", "text": "x", "cache_control": {"ttl": "1h"}}),
        chat(tools=[{"type": "function", "cache_control": {"ttl": "1h"}}]),
        chat(cache_control={"ttl": "1h"}),
    ],
)
def test_breakpoints_in_chat_are_those_of_the_hosts_that_pass_them_on(body: bytes) -> None:
    found = bound(CHAT, body)
    assert found.usage.cache_write_1h_tokens == found.input_tokens > 0


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, b'{"messages":[3],"tools":[]}'),
        (
            CHAT,
            b'{"messages":[{"content":[{"type":"image_url","image_url":{"detail":3}}]}],"tools":[]}',
        ),
        (CHAT, b'{"messages":[{"content":{}}],"grounding":{}}'),
        (RESPONSES, b'{"input":7,"tools":[]}'),
        (RESPONSES, b'{"input":"x","tools":"x"}'),
        (GEMINI, b'{"contents":"x","tools":[]}'),
        (GEMINI, b'{"contents":[{"parts":[null]}],"tools":[]}'),
    ],
)
def test_what_cannot_be_read_is_taken_at_its_dearest(dialect: Dialect, body: bytes) -> None:
    found = bound(dialect, body)
    assert found.usage.cache_write_1h_tokens == found.input_tokens >= MODEL.context_window
    assert found.usage.web_searches == DEFAULT_SEARCHES


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, GEMINI])
def test_each_answer_is_held_and_without_a_cap_the_models_own(dialect: Dialect) -> None:
    body = {CHAT: chat, RESPONSES: responses, GEMINI: gemini}[dialect]()
    assert bound(dialect, body, Head("m", 100, candidates=3)).usage.output_tokens == 300
    assert bound(dialect, body, Head("m")).usage.output_tokens == MODEL.max_output_tokens
    assert bound(dialect, body, Head("m", candidates=2)).usage.output_tokens == 128_000


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, chat({"type": "text", "text": '"type":"image_url"'})),
        (CHAT, msgspec.json.encode({"messages": [{"role": "user", "content": "hi"}]})),
        (CHAT, msgspec.json.encode({"messages": [{"tool_calls": [{"type": "image_url"}]}]})),
        (RESPONSES, b'{"input":"hi"}'),
        (RESPONSES, b'{"input":[{"type":"reasoning","summary":[],"encrypted_content":"x"}]}'),
        (RESPONSES, b'{"input":[{"type":"reasoning","content":[{"type":"reasoning_text"}]}]}'),
        (RESPONSES, b'{"input":[{"type":"function_call_output","output":"x"}]}'),
        (RESPONSES, b'{"input":[{"type":"shell_call_output","output":[{"stdout":"x"}]}]}'),
        (GEMINI, gemini({"text": "inlineData"}, {"functionCall": {"args": inline("image/png")}})),
        (GEMINI, gemini({"functionResponse": {"response": {"inlineData": {"data": "x"}}}})),
    ],
)
def test_text_is_text_whatever_it_looks_like(dialect: Dialect, body: bytes) -> None:
    assert not vars(contents(dialect, body))
    assert bound(dialect, body).input_tokens == -(-len(body) // 3)
