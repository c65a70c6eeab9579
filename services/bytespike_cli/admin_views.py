"""Answers of the management API as text for people."""

from __future__ import annotations

from typing import Any

from bytespike_cli.tables import fields, table

_ORG_COLUMNS = ("id", "name", "tier", "concurrency", "balance_usd")
_KEY_COLUMNS = ("id", "name", "status", "hint", "group", "scopes", "quota", "expires_at")
_CHECK_COLUMNS = ("name", "examined", "violations", "first")


def thing(answer: Any) -> str:
    return fields(answer)


def orgs(answer: Any) -> str:
    return table(answer["items"], _ORG_COLUMNS)


def keys(answer: Any) -> str:
    return table(answer["items"], _KEY_COLUMNS)


def new_key(answer: Any) -> str:
    return f"{fields(answer)}\n\nKeep the key now: it cannot be shown again."


def audit(answer: Any) -> str:
    verdict = "The books are right." if answer["clean"] else "THE BOOKS ARE WRONG."
    return f"{table(answer['checks'], _CHECK_COLUMNS)}\n\n{verdict}"
