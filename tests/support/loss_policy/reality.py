"""What a codec really does with a field."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bytespike_protocols import anthropic, gemini, openai_chat, openai_responses
from bytespike_protocols.codec import Codec, Encoded, RouteHints
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Dialect
from bytespike_protocols.leftovers import placeless
from bytespike_protocols.loss_policy import REFERENCE_MODELS, Row, Verdict
from tests.support.loss_policy.sample import Sample, walk

__all__ = ["CODECS", "Observed", "observe", "translate"]

CODECS: dict[Dialect, Codec] = {
    Dialect.ANTHROPIC: anthropic.CODEC,
    Dialect.OPENAI_CHAT: openai_chat.CODEC,
    Dialect.OPENAI_RESPONSES: openai_responses.CODEC,
    Dialect.GEMINI: gemini.CODEC,
}


class Observed(msgspec.Struct, frozen=True):
    """``path`` is where a loss or refusal was reported, ``changed`` whether the field made any
    difference to the body.
    """

    verdict: Verdict
    path: str = ""
    changed: bool = True


def translate(
    client: Dialect, codec: Codec, body: dict[str, Any], model: str | None = None
) -> Encoded:
    """A request of ``client`` as ``codec`` writes it."""
    raw = json.dumps(body).encode()
    request = CODECS[client].decode_request(raw, RouteHints(model="m"))
    return codec.encode_request(request, model=model or REFERENCE_MODELS[codec.dialect])


def observe(client: Dialect, codec: Codec, row: Row, sample: Sample) -> Observed:
    """The verdict on the field of ``row`` by its effects alone."""
    with_field, without = sample.bodies(row.path)
    plain = translate(client, codec, without)
    try:
        full = translate(client, codec, with_field)
    except Unrepresentable as refused:
        return Observed(Verdict.REFUSED, placeless(refused.path))
    losses = [loss for loss in full.losses if loss not in plain.losses]
    changed = full.body != plain.body
    if losses:
        assert len(losses) == 1, f"one field, several losses: {losses}"
        return Observed(Verdict(losses[0].verdict), losses[0].path, changed)
    name = None if row.path.endswith("[]") else row.path.rpartition(".")[2]
    mark = (name, msgspec.json.encode(sample.value, order="sorted").decode())
    arrived = walk(json.loads(full.body)).count(mark) > walk(json.loads(plain.body)).count(mark)
    return Observed(Verdict.EXACT if arrived else Verdict.MAPPED, changed=changed)
