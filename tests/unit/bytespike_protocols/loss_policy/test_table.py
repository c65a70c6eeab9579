"""The loss policy and the codecs agree about every field of every dialect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bytespike_protocols import openai_chat as chat
from bytespike_protocols.ir import Dialect
from bytespike_protocols.loss_policy import TABLE, Row, Verdict, targets, verdict
from tests.support.loss_policy import anthropic, gemini, openai_chat, openai_responses
from tests.support.loss_policy.reality import CODECS, Observed, observe
from tests.support.loss_policy.sample import Sample

SAMPLES: dict[Dialect, dict[tuple[str, str], Sample]] = {
    Dialect.ANTHROPIC: anthropic.SAMPLES,
    Dialect.OPENAI_CHAT: openai_chat.SAMPLES,
    Dialect.OPENAI_RESPONSES: openai_responses.SAMPLES,
    Dialect.GEMINI: gemini.SAMPLES,
}
REPORTED = {Verdict.EMULATED, Verdict.DROPPED, Verdict.REFUSED}


def expected(row: Row, target: Dialect) -> Observed:
    verdict = row.verdicts[target]
    return Observed(verdict, row.reported if verdict in REPORTED else "")


def cells() -> Iterator[object]:
    for client, rows in TABLE.items():
        for row in rows:
            for target in targets(client):
                name = f"{client}-{target}-{row.path}-{row.case}"
                yield pytest.param(client, target, row, id=name)


def observed(client: Dialect, target: Dialect, row: Row) -> Observed:
    return observe(client, CODECS[target], row, SAMPLES[client][row.path, row.case])


@pytest.mark.parametrize(("client", "target", "row"), list(cells()))
def test_a_field(client: Dialect, target: Dialect, row: Row) -> None:
    found = observed(client, target, row)
    assert (found.verdict, found.path) == (
        expected(row, target).verdict,
        expected(row, target).path,
    )
    if row.verdicts[target] in {Verdict.EXACT, Verdict.MAPPED}:
        # Carried is what makes a difference, or the row says why it makes none.
        assert found.changed is (target not in row.idle)


@pytest.mark.parametrize("client", list(Dialect))
def test_rows_and_samples_are_the_same_fields(client: Dialect) -> None:
    fields = [(row.path, row.case) for row in TABLE[client]]
    assert len(set(fields)) == len(fields)
    assert fields == list(SAMPLES[client])


def test_a_field_that_changes_nothing_says_why() -> None:
    silent = [row for rows in TABLE.values() for row in rows if row.idle and not row.note]
    assert silent == []


@pytest.mark.parametrize("wrong", list(Verdict))
def test_a_wrong_verdict_would_be_seen(wrong: Verdict) -> None:
    """What each verdict looks like is seen in rows that have another one, and never there."""
    others = [
        observed(Dialect.ANTHROPIC, target, row).verdict
        for row in TABLE[Dialect.ANTHROPIC]
        for target in targets(Dialect.ANTHROPIC)
        if row.verdicts[target] is not wrong
    ]
    assert wrong not in others
    assert len(set(others)) == len(Verdict) - 1


def test_looking_up() -> None:
    client, upstream = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC
    assert verdict(client, upstream, "seed") is Verdict.DROPPED
    assert verdict(client, upstream, "n", "more than 1") is Verdict.REFUSED
    assert verdict(client, upstream, "not_invented_yet") is Verdict.DROPPED
    with pytest.raises(KeyError, match="cases"):
        verdict(client, upstream, "n")
    with pytest.raises(KeyError):
        verdict(client, client, "seed")


#: Where vendors compatible with OpenAI get something else than OpenAI does.
COMPATIBLE = {
    "max_tokens",
    "safety_identifier",
    "user",
    "input[].summary",
    "contents[].parts[].thought",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
    "text.verbosity",
    "temperature",
    "top_p",
    "generationConfig.temperature",
    "generationConfig.topP",
    "generationConfig.presencePenalty",
    "generationConfig.frequencyPenalty",
}


def test_compatible_vendors_differ_in_a_few_fields_only() -> None:
    differing = set()
    for client in targets(Dialect.OPENAI_CHAT):
        for row in TABLE[client]:
            sample = SAMPLES[client][row.path, row.case]
            compatible = observe(client, chat.COMPATIBLE_CODEC, row, sample)
            if compatible != observe(client, chat.CODEC, row, sample):
                differing.add(row.path)
    assert differing == COMPATIBLE
