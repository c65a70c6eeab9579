"""`bytespike admin secrets`: what the ledger keeps sealed."""

from __future__ import annotations

import argparse
from urllib.parse import quote

import msgspec

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi

__all__ = ["add_secret_commands"]


class _Batch(msgspec.Struct):
    kek_id: str
    rewrapped: int
    failed: int
    remaining: int
    next_cursor: str | None


def add_secret_commands(commands: Commands) -> None:
    """`secrets rewrap`."""
    words = "bring all sealed secrets under the current encryption key"
    commands.leaf("rewrap", words, _rewrap, thing)


async def _rewrap(api: GatewayApi, args: argparse.Namespace) -> bytes:
    """Batch after batch; the answer is their sum."""
    rewrapped, failed, cursor = 0, 0, ""
    while True:
        path = f"{ADMIN}/secrets/rewrap?limit=200&cursor={quote(cursor, safe='')}"
        batch = msgspec.json.decode(await api.call("POST", path), type=_Batch)
        rewrapped, failed = rewrapped + batch.rewrapped, failed + batch.failed
        if batch.next_cursor is None:
            total = msgspec.structs.replace(batch, rewrapped=rewrapped, failed=failed)
            return msgspec.json.encode(total)
        cursor = batch.next_cursor
