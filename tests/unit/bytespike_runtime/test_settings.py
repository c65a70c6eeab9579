"""Settings: where each comes from, and that every mistake is reported by variable name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from bytespike_runtime.settings import (
    Port,
    Secret,
    ServiceSettings,
    SettingsError,
    load_settings,
    settings_table,
)


class Sample(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: Port = 8080
    ops_port: Port = 9080
    token: Annotated[Secret, Meta(description="the shared token")]
    spare: Secret | None = None
    hops: Annotated[int, Meta(ge=0, le=16, description="proxies in front")] = 0
    words: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        if self.port == self.ops_port:
            raise ValueError("BYTESPIKE_EDGE_PORT and BYTESPIKE_EDGE_OPS_PORT are the same")


def load(**env: str) -> Sample:
    variables = {f"BYTESPIKE_{name}": value for name, value in env.items()}
    return load_settings(Sample, "edge", {"BYTESPIKE_EDGE_TOKEN": "t0ps3cret", **variables})


def problems(**env: str) -> list[str]:
    with pytest.raises(SettingsError) as failure:
        load(**env)
    return failure.value.problems


def test_the_services_own_variable_beats_the_shared_one_beats_the_default() -> None:
    assert load().hops == 0
    assert load(HOPS="1").hops == 1
    assert load(HOPS="1", EDGE_HOPS="2").hops == 2


def test_an_empty_variable_counts_as_unset() -> None:
    assert load(EDGE_HOPS="", HOPS="3").hops == 3


def test_texts_become_what_the_field_is() -> None:
    settings = load(EDGE_WORDS="a, b,,c ", EDGE_STRICT="true", DRAIN_TIMEOUT_S="2.5")
    assert settings.words == ("a", "b", "c")
    assert settings.strict is True
    assert settings.drain_timeout_s == 2.5


def test_all_problems_are_reported_at_once_by_variable() -> None:
    found = problems(EDGE_HOPS="*", PORT="70000", LOG_LEVEL="loud", EDGE_TOKEN="")
    assert len(found) == 4
    for variable in (
        "BYTESPIKE_EDGE_HOPS",
        "BYTESPIKE_PORT",
        "BYTESPIKE_LOG_LEVEL",
        "BYTESPIKE_EDGE_TOKEN is not set",
    ):
        assert any(problem.startswith(variable) for problem in found), variable


def test_a_misspelt_variable_names_the_nearest_one() -> None:
    assert problems(EDGE_STRCIT="1") == [
        "BYTESPIKE_EDGE_STRCIT is not a setting; the nearest one is BYTESPIKE_EDGE_STRICT"
    ]


def test_a_neighbours_variable_is_none_of_our_business() -> None:
    assert load(LEDGER_WHATEVER="1", SOMETHING="1").hops == 0


def test_fields_that_contradict_each_other_are_a_problem() -> None:
    assert problems(EDGE_PORT="9080") == [
        "BYTESPIKE_EDGE_PORT and BYTESPIKE_EDGE_OPS_PORT are the same"
    ]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    settings = load(EDGE_TOKEN="", EDGE_TOKEN_FILE=str(file))
    assert settings.token.reveal() == "from-file"


def test_an_unusable_secret_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "No such file" in problems(SPARE_FILE=str(tmp_path / "absent"))[0]
    assert "is empty" in problems(SPARE_FILE=str(tmp_path / "empty"))[0]


def test_a_secret_shows_itself_to_reveal_alone() -> None:
    settings = load(SPARE="s1lence")
    token = settings.token
    shown = [repr(settings), str(token), f"{token}", f"{token!r}", f"{token:>20}"]
    shown.append(msgspec.json.encode(settings, enc_hook=str).decode())
    assert not any("t0ps3cret" in text or "s1lence" in text for text in shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    with pytest.raises(TypeError):
        pickle.dumps(token)
    assert token.reveal() == "t0ps3cret"


def test_a_secret_is_compared_whole() -> None:
    token = Secret("t0ps3cret")
    assert token.matches("t0ps3cret")
    assert not token.matches("t0ps3cre")
    assert not token.matches("t0ps3crét")
    assert not token.matches(None)
    assert token == Secret("t0ps3cret")
    assert token != Secret("")
    assert not Secret("")


def test_the_table_has_every_field_with_its_words() -> None:
    table = {row[0]: row[1:] for row in settings_table(Sample, "edge")}
    assert table["BYTESPIKE_EDGE_TOKEN"] == ("secret", "required", "the shared token")
    assert table["BYTESPIKE_EDGE_HOPS"] == ("integer", "0", "proxies in front")
    assert table["BYTESPIKE_EDGE_PORT"] == ("integer", "8080", "port of the service")
    assert table["BYTESPIKE_EDGE_WORDS"] == ("comma-separated list", "none", "")
    assert table["BYTESPIKE_EDGE_LOG_LEVEL"][0] == "debug | info | warning | error"
    assert set(table) == {f"BYTESPIKE_EDGE_{name.upper()}" for name in Sample.__struct_fields__}
