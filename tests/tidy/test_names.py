"""Names say what a thing is; comments that promise work name the issue that does it."""

from __future__ import annotations

import re

from tests.tidy.tree import ROOT, name_of, python_files

BANNED = {"utils", "helpers", "common", "misc", "base", "core", "util", "helper", "shared"}
EVERYTHING = ("services", "shared", "tests")
_PROMISE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")


def test_no_file_or_package_has_a_name_that_means_nothing() -> None:
    bad = [name_of(p) for p in python_files(*EVERYTHING) if p.stem in BANNED]
    bad += [
        name_of(folder)
        for top in EVERYTHING
        for folder in (ROOT / top).rglob("*")
        if folder.is_dir() and folder.name in BANNED
    ]
    assert bad == []


def test_promises_in_comments_name_an_issue() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in python_files(*EVERYTHING)
        if path.name != "test_names.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if _PROMISE.search(line)
    ]
    assert found == []


def test_every_module_says_why_it_exists() -> None:
    silent = [
        name_of(path)
        for path in python_files("services", "shared")
        if path.read_text().strip() and not path.read_text().lstrip().startswith(('"""', 'r"""'))
    ]
    assert silent == []
