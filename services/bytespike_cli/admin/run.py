"""`bytespike admin`: find the gateway, ask it, show the answer.

``--json`` prints the answer exactly as the ledger sent it; otherwise it is shown for people.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from bytespike_cli.demo_file import read_demo_file
from bytespike_cli.gateway_api import ApiError, GatewayApi, decode

__all__ = ["gateway_of", "run_admin"]


def run_admin(args: argparse.Namespace, home: Path, env: Mapping[str, str]) -> int:
    """Carry out one parsed command; returns the exit code."""
    try:
        answer = asyncio.run(_ask(args, home, env))
    except (ApiError, ValueError) as error:
        print(f"bytespike admin: {error}", file=sys.stderr)
        return 1
    if getattr(args, "raw", False):
        # Not JSON: a document to be kept byte for byte.
        sys.stdout.buffer.write(answer)
        return 0
    content = decode(answer)
    print(answer.decode() if args.json else args.show(content))
    # An audit that found something is a failure, so that a cron job needs no parser.
    found_something = isinstance(content, dict) and not content.get("clean", True)
    return 1 if found_something else 0


async def _ask(args: argparse.Namespace, home: Path, env: Mapping[str, str]) -> bytes:
    url, token = gateway_of(home, env)
    async with GatewayApi(url, token) as api:
        answer: bytes = await args.ask(api, args)
        return answer


def gateway_of(home: Path, env: Mapping[str, str]) -> tuple[str, str]:
    """Base URL and admin token: of the environment, else of the `bytespike up` that runs here."""
    url, token = env.get("BYTESPIKE_URL", ""), env.get("BYTESPIKE_ADMIN_TOKEN", "")
    if url and token:
        return url, token
    demo = read_demo_file(home)
    return url or demo.base_url, token or demo.admin_token
