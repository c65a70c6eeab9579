"""`bytespike check-config` says what a catalogue offers, or everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bytespike_cli.__main__ import main
from bytespike_cli.check_config import check_config, default_catalogue
from tests.support.stack import DEFAULT_CATALOGUE


def test_the_catalogue_we_ship_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert default_catalogue({}) == DEFAULT_CATALOGUE
    assert main(["check-config"]) == 0
    said = capsys.readouterr()
    assert (
        "good. 36 models, 14 channels (6 anthropic, 6 openai_chat, 1 openai_responses, 1 gemini), "
        "5 groups, price revision "
    ) in said.out
    assert said.err == (
        f"{DEFAULT_CATALOGUE}: warning: model doubao-seed-2-0-pro has no price, "
        "so it is never routed\n"
    )


def test_every_problem_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    broken = tmp_path / "broken.toml"
    broken.write_text(
        text.replace('input = "1.00"', 'input = "one"').replace(
            'channels = ["anthropic"]', 'channels = ["nobody"]'
        )
    )
    assert check_config(broken, {}) == 1
    problems = capsys.readouterr().err.splitlines()
    assert len(problems) == 2
    assert all(line.startswith(f"{broken}: ") for line in problems)
    assert any("unknown channel 'nobody'" in line for line in problems)
    assert any("models[claude-haiku-4-5].price" in line for line in problems)


def test_what_is_legal_but_useless_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    path = tmp_path / "catalogue.toml"
    path.write_text(
        text.replace('claude-opus-4-8 = "claude-opus-4-8"\n', "").replace(
            'channels = ["google"]', 'channels = ["openai"]'
        )
    )
    assert check_config(path, {}) == 0
    warnings = [
        line.removeprefix(f"{path}: warning: ") for line in capsys.readouterr().err.splitlines()
    ]
    assert warnings == [
        "model doubao-seed-2-0-pro has no price, so it is never routed",
        "no channel serves claude-opus-4-8",
        *(
            f"group gemini-default offers {name}, but no channel serves it there"
            for name in (
                "gemini-2-5-flash",
                "gemini-2-5-pro",
                "gemini-3-1-pro",
                "gemini-3-5-flash",
                "gemini-3-flash",
            )
        ),
    ]


def test_a_missing_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(tmp_path / "none.toml")]) == 1
    assert "No such file" in capsys.readouterr().err
