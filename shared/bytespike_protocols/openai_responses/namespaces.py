"""Tools in namespaces, which only this dialect has, as functions whose names say both.

The canonical name of such a function is its namespace's, a character that no name may hold, and
its own. ``renaming`` makes of it what a vendor takes, and back; to tell the two apart again here
nothing else has to be remembered. The first function of a namespace also has the whole definition,
to be written again as it was, and introduces the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from bytespike_protocols.ir import ServerTool, Tool
from bytespike_protocols.openai_responses.fields import Fields, bad
from bytespike_protocols.renaming import SEPARATOR

__all__ = [
    "NAMESPACE",
    "bare_names",
    "introduced",
    "is_written_with_its_group",
    "read_call_name",
    "read_name",
    "written_name",
]

#: The wire type of such a group of tools.
NAMESPACE: Final = "namespace"


def joined(namespace: str | None, name: str) -> str:
    """The canonical name."""
    return f"{namespace}{SEPARATOR}{name}" if namespace else name


def read_name(fields: Fields, namespace: str | None = None) -> str:
    """The canonical name of what ``fields`` defines, calls or chooses; ``namespace`` if it stands
    elsewhere. Raises ``BadClientMessage``.
    """
    name = fields.required_text("name")
    if namespace is None:
        namespace = fields.text("namespace")
    for field, value in (("namespace", namespace or ""), ("name", name)):
        if SEPARATOR in value:
            raise bad(fields.at(field), "must not contain control characters")
    return joined(namespace, name)


def read_call_name(fields: Fields, offered: Collection[str]) -> str:
    """The canonical name of a call in the history; ``offered`` are those of the tools. The vendor
    puts a function that it looked up by itself into a namespace that nobody has defined: such a one
    stays untaken. Raises ``BadClientMessage``.
    """
    namespace, name = fields.peek_text("namespace"), fields.peek_text("name") or ""
    if name in offered and joined(namespace, name) not in offered:
        return fields.required_text("name")
    return read_name(fields)


def written_name(name: str) -> dict[str, str]:
    """``name`` and, if it has one, ``namespace`` as the dialect says them."""
    namespace, separator, own = name.rpartition(SEPARATOR)
    return {"name": own, "namespace": namespace} if separator else {"name": name}


def bare_names(tools: Iterable[Tool | ServerTool]) -> dict[str, str]:
    """The canonical names of tools that can be chosen without their namespace, by that shorter
    name: no other tool has it.
    """
    names = {tool.name for tool in tools if isinstance(tool, Tool)}
    meant: dict[str, str] = {}
    shared: set[str] = set()
    for name in names:
        own = written_name(name)["name"]
        if own in meant:
            shared.add(own)
        meant[own] = name
    return {own: name for own, name in meant.items() if own not in shared and own not in names}


def introduced(tool: Tool, namespace: str, about: str | None) -> str | None:
    """The description of the first function, after what is said about its whole namespace."""
    if not about:
        return tool.description
    preface = f"About all tools of {namespace}: {about}"
    return f"{preface}\n\n{tool.description}" if tool.description else preface


def is_written_with_its_group(tool: Tool) -> bool:
    """Whether an earlier tool has the definition this one stands in."""
    return tool.group is None and SEPARATOR in tool.name
