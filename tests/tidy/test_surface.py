"""The public surface of shared is a decision: ``__all__`` lists it, docstrings tell it."""

from __future__ import annotations

import ast

from tests.tidy.tree import name_of, parse, python_files


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


def _defined(tree: ast.Module) -> set[str]:
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    }


def test_every_public_definition_of_the_contracts_is_exported() -> None:
    hidden = {
        name_of(path): sorted(_defined(tree) - set(_exported(tree) or ()))
        for path in python_files("shared/bytespike_contracts")
        if (tree := parse(path)) and _defined(tree) - set(_exported(tree) or ())
    }
    # Price is a field type of Model and not meant to be used alone.
    assert hidden == {"shared/bytespike_contracts/catalogue.py": ["Price"]}


def test_every_public_function_and_class_of_shared_has_a_docstring() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in python_files("shared")
        for node in parse(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []
