"""How we prove to a vendor who we are: the schemes, and where secrets come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from bytespike_contracts.catalogue import AuthScheme

__all__ = ["CredentialMissing", "auth_headers", "resolve_credential"]


class CredentialMissing(Exception):
    """The credential a channel names cannot be had here; the message names it, never its value."""


def auth_headers(scheme: AuthScheme, credential: str) -> tuple[tuple[str, str], ...]:
    """The headers that carry ``credential`` to a vendor, names in lower case."""
    match scheme:
        case "x-api-key" | "x-goog-api-key":
            return ((scheme, credential),)
        case "bearer":
            return (("authorization", f"Bearer {credential}"),)
        case _:
            assert_never(scheme)


def resolve_credential(reference: str, env: Mapping[str, str]) -> str:
    """The secret behind ``env:NAME`` or ``file:/path``. Raises :class:`CredentialMissing`."""
    scheme, _, name = reference.partition(":")
    if scheme == "env":
        value = env.get(name, "")
    else:
        try:
            value = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialMissing(f"{reference} cannot be read") from error
    if not value:
        raise CredentialMissing(f"{reference} is not set")
    if not value.isascii() or not value.isprintable():
        raise CredentialMissing(f"{reference} holds characters no header can carry")
    return value
