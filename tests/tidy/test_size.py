"""Nothing grows past what one person can hold in mind."""

from __future__ import annotations

from tests.tidy.tree import functions, name_of, python_files

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
EVERYTHING = ("services", "shared", "tests")


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {name_of(p): len(p.read_text().splitlines()) for p in python_files(*EVERYTHING)}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_the_cap() -> None:
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": length
        for path in python_files(*EVERYTHING)
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}
