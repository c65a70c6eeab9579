"""The admin commands: against a server that only remembers, and against a running gateway."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from aiohttp import web

from bytespike_cli.admin.options import add_admin_options
from bytespike_cli.gateway_api import GatewayApi
from tests.support.gateway import Gateway
from tests.support.stack import clean_environment

__all__ = ["Cli", "Recorder", "asked_by", "parse"]


class Recorder:
    """An HTTP server that remembers what it was asked and answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, object]] = []
        self.answers = [web.json_response({"ok": True})]
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, json.loads(text) if text else None))
        self.authorization = request.headers["authorization"]
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return web.Response(body=answer.body, status=answer.status, content_type="application/json")


def parse(*words: str) -> argparse.Namespace:
    """A command line; wrong usage raises."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_admin_options(parser)
    return parser.parse_args(words)


async def asked_by(recorder: Recorder, *words: str) -> bytes:
    """Carry out a command; the answer."""
    args = parse(*words)
    async with GatewayApi(recorder.url, "secret-token") as api:
        answer: bytes = await args.ask(api, args)
    return answer


class Cli:
    """Runs commands with the gateway's address and token in the environment."""

    def __init__(self, gateway: Gateway, **environment: str) -> None:
        known = {
            "BYTESPIKE_URL": gateway.urls[0],
            "BYTESPIKE_ADMIN_TOKEN": gateway.stack.admin_token,
        }
        self._environment = clean_environment(**{**known, **environment})

    async def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bytespike_cli",
            "admin",
            *words,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def json(self, *words: str) -> Any:
        code, out, err = await self.run(*words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)
