"""Bring a database to the schema of this release: every service's own migrations, in turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from importlib import resources

from bytespike_runtime.migrate import MigrationError, migrate
from bytespike_runtime.pg import PgUnavailable

__all__ = ["migrate_all", "migrate_from_environment"]

#: Services by name -> package. Named by text: the command line imports no service.
_PACKAGES = {"ledger": "bytespike_ledger", "media": "bytespike_media"}


async def migrate_all(postgres_url: str) -> list[str]:
    """Apply what is missing; returns ``service/file`` for each file applied now.

    Raises what ``bytespike_runtime.migrate`` raises.
    """
    applied: list[str] = []
    for service, package in _PACKAGES.items():
        folder = resources.files(package) / "migrations"
        if folder.is_dir():
            done = await migrate(postgres_url, folder, service=service)
            applied += [f"{service}/{name}" for name in done]
    return applied


def migrate_from_environment(env: Mapping[str, str]) -> int:
    """`bytespike migrate`: prints each file applied; returns the exit code."""
    url = env.get("BYTESPIKE_POSTGRES_URL", "")
    if not url:
        print("bytespike migrate: BYTESPIKE_POSTGRES_URL is not set", file=sys.stderr)
        return 2
    try:
        applied = asyncio.run(migrate_all(url))
    except (MigrationError, PgUnavailable) as error:
        print(f"bytespike migrate: {error}", file=sys.stderr)
        return 1
    print("\n".join(applied) or "nothing to do: the schema is that of this release")
    return 0
