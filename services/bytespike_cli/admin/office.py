"""`bytespike admin audit` and `rebuild`: the proof of the books, and their copy in Redis."""

from __future__ import annotations

import argparse
from typing import Any

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import table

__all__ = ["add_office_commands"]


def add_office_commands(commands: Commands) -> None:
    """Commands that stand for themselves."""
    commands.leaf("audit", "prove that the books are right", _audit, _show_audit)
    commands.leaf("rebuild", "load Redis anew from Postgres", _rebuild, thing)


def _show_audit(answer: Any) -> str:
    verdict = "The books are right." if answer["clean"] else "THE BOOKS ARE WRONG."
    checks = table(answer["checks"], ("name", "examined", "violations", "first"))
    return f"{checks}\n\n{verdict}"


async def _audit(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", f"{ADMIN}/audit")


async def _rebuild(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{ADMIN}/rebuild")
