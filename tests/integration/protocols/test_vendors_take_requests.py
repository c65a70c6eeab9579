"""What we write for a vendor that vendor takes, whichever request of whichever dialect it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from bytespike_cli.simulator.reply import VendorError
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Dialect
from tests.support.loss_policy.reality import CODECS
from tests.support.vendors import CORPUS, Recorded, answer_of, requests_of

#: Models that differ in what they refuse.
MODELS = {
    Dialect.ANTHROPIC: ("claude-opus-4-6", "claude-opus-4-8", "claude-sonnet-4-5"),
    Dialect.OPENAI_CHAT: ("gpt-5", "gpt-4.1", "o3"),
    Dialect.OPENAI_RESPONSES: ("gpt-5", "gpt-4.1"),
    Dialect.GEMINI: ("gemini-3-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.0-flash"),
}

#: Nonsense that the client's own vendor refused too: the vendor is the one to say so.
NONSENSE = {
    "ant-2979fa003a-00": "a tool's schema without a type",
    "ant-6c9fbd773c-00": "a tool's schema that is no object",
    "oac-0546c9e899-00": "a temperature below 0",
    "oac-f5cc931e33-00": "an image that is not base64",
    "oar-c995b15817-00": "a temperature below 0",
    "own-refused": "a temperature of 7",
}


def pairs() -> Iterator[object]:
    for client in Dialect:
        for target in Dialect:
            if client is not target:
                for model in MODELS[target]:
                    yield pytest.param(client, target, model, id=f"{client}-{target}-{model}")


def fate(case: Recorded, client: Dialect, target: Dialect, model: str) -> str:
    """``taken``, ``ours`` (refused by us, with a reason) or the vendor's words."""
    try:
        request = CODECS[client].decode_request(case.body, case.hints)
        if request.max_output_tokens is None and target is Dialect.ANTHROPIC:
            # Anthropic must be told: the router says what the catalogue has.
            request = replace(request, max_output_tokens=4096)
        body = CODECS[target].encode_request(request, model=model).body
    except BadClientMessage:
        return "ours"
    try:
        answer_of(target, model, body, stream=request.stream)
    except VendorError as refusal:
        return refusal.message
    return "taken"


@pytest.mark.parametrize(("client", "target", "model"), list(pairs()))
def test_requests_of_one_dialect_in_another(client: Dialect, target: Dialect, model: str) -> None:
    fates = {case.id: fate(case, client, target, model) for case in requests_of(client)}
    refused = {name: words for name, words in fates.items() if words not in ("taken", "ours")}
    assert {name: words for name, words in refused.items() if name not in NONSENSE} == {}
    # Most are taken: what is refused here is content that the target has no way to say.
    assert Counter(fates.values())["taken"] > len(fates) / 2


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not here")
@pytest.mark.parametrize("client", list(Dialect))
def test_the_exceptions_are_ones(client: Dialect) -> None:
    listed = [case for case in requests_of(client) if case.id in NONSENSE]
    for case in listed:
        assert case.status == 400
        fates = {
            fate(case, client, target, model)
            for target, models in MODELS.items()
            if target is not client
            for model in models
        }
        assert fates - {"taken", "ours"}, f"{case.id} is refused no more"
    known = {case.id for dialect in Dialect for case in requests_of(dialect)}
    assert NONSENSE.keys() <= known
