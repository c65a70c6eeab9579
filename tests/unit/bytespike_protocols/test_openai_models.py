"""What OpenAI's models refuse is not sent to them, in either dialect, and the client is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols import openai_chat, openai_responses
from bytespike_protocols.codec import Codec, Loss
from bytespike_protocols.ir import Dialect, Effort, Reasoning, Request, Sampling, Text, Turn

CODECS = [openai_chat.CODEC, openai_responses.CODEC]
IDS = ["chat", "responses"]
NOT_THINKING = Reasoning(mode="off")
KNOBS = Sampling(temperature=0.5, top_p=0.9)

both = pytest.mark.parametrize("codec", CODECS, ids=IDS)


def encode(
    codec: Codec, model: str, *, dialect: Dialect = Dialect.ANTHROPIC, **fields: Any
) -> tuple[dict[str, Any], list[Loss]]:
    turns = (Turn(role="user", blocks=(Text(text="hi"),)),)
    request = Request(dialect=dialect, model="m", turns=turns, **fields)
    encoded = codec.encode_request(request, model=model)
    return json.loads(encoded.body), list(encoded.losses)


@both
@pytest.mark.parametrize("model", ["gpt-5", "gpt-5.4-mini", "o3", "o1-mini", "codex-mini-latest"])
def test_reasoning_models_take_no_sampling(codec: Codec, model: str) -> None:
    body, losses = encode(codec, model, sampling=KNOBS)
    assert not {"temperature", "top_p"} & body.keys()
    assert losses == [Loss("temperature"), Loss("top_p")]


@both
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5-chat-latest", "chatgpt-4o-latest", "kimi-k2"])
def test_other_models_do(codec: Codec, model: str) -> None:
    body, losses = encode(codec, model, sampling=KNOBS)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert losses == []


@both
def test_reasoning_models_do_while_they_do_not_reason(codec: Codec) -> None:
    body, losses = encode(codec, "gpt-5.4", sampling=KNOBS, reasoning=NOT_THINKING)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert losses == []


@both
def test_the_default_is_no_loss(codec: Codec) -> None:
    _, losses = encode(codec, "gpt-5", sampling=Sampling(temperature=1, presence_penalty=0))
    assert losses == []


def test_penalties_go_to_models_that_take_them() -> None:
    knobs = Sampling(presence_penalty=0.5, frequency_penalty=-0.5)
    body, losses = encode(openai_chat.CODEC, "gpt-4.1", sampling=knobs)
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.5, -0.5)
    assert losses == []
    body, losses = encode(openai_chat.CODEC, "o4-mini", sampling=knobs)
    assert losses == [Loss("presence_penalty"), Loss("frequency_penalty")]
    assert not {"presence_penalty", "frequency_penalty"} & body.keys()


@both
@pytest.mark.parametrize(
    ("reasoning", "lost"),
    [
        (Reasoning(mode="effort", effort=Effort.LOW), ["output_config.effort"]),
        (Reasoning(mode="budget", budget_tokens=2000), ["thinking.budget_tokens"]),
        (Reasoning(mode="adaptive"), ["thinking.type"]),
        (Reasoning(mode="adaptive", show=True), ["thinking.display"]),
        (NOT_THINKING, []),
    ],
)
def test_models_that_only_talk_are_not_asked_to_think(
    codec: Codec, reasoning: Reasoning, lost: list[str]
) -> None:
    body, losses = encode(codec, "gpt-4.1", reasoning=reasoning)
    assert not {"reasoning", "reasoning_effort"} & body.keys()
    assert losses == [Loss(path) for path in lost]


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("gpt-5.4", True),
        ("o3-mini", True),
        ("gpt-5.3-codex", True),
        ("somebody-elses-model", True),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("chatgpt-4o-latest", False),
        ("gpt-5.5-chat-latest", False),
    ],
)
def test_only_models_that_may_reason_are_asked_for_reasoning_state(model: str, asked: bool) -> None:
    body, _ = encode(openai_responses.CODEC, model)
    assert ("include" in body) is asked


@pytest.mark.parametrize(("model", "taken"), [("o3", False), ("o4-mini", False), ("gpt-5", True)])
def test_stop_sequences_go_to_models_that_take_them(model: str, taken: bool) -> None:
    body, losses = encode(openai_chat.CODEC, model, stop_sequences=("END",))
    assert ("stop" in body) is taken
    assert losses == ([] if taken else [Loss("stop_sequences")])


@both
def test_a_client_of_the_same_dialect_knows_its_model(codec: Codec) -> None:
    body, losses = encode(
        codec,
        "gpt-5",
        dialect=codec.dialect,
        sampling=KNOBS,
        reasoning=Reasoning(mode="effort", effort=Effort.HIGH),
    )
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert losses == []


def test_vendors_compatible_with_openai_have_their_own_rules() -> None:
    body, losses = encode(openai_chat.COMPATIBLE_CODEC, "gpt-5", sampling=KNOBS)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert losses == []


@pytest.mark.parametrize(
    ("model_name", "asked"),
    [
        ("gpt-5.4", True),
        ("o3-mini", True),
        ("gpt-5.3-codex", True),
        ("somebody-elses-model", True),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("chatgpt-4o-latest", False),
        ("gpt-5.5-chat-latest", False),
    ],
)
def test_models_that_only_talk_are_not_asked_for_reasoning_state(
    model_name: str, asked: bool
) -> None:
    body, losses = encode(openai_responses.CODEC, model_name)
    assert ("include" in body, losses) == (asked, [])
