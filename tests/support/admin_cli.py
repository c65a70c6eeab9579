"""The admin commands against a server that only remembers: what was asked is what is tested."""

from __future__ import annotations

import argparse
import json

from aiohttp import web

from bytespike_cli.admin.options import add_admin_options
from bytespike_cli.gateway_api import GatewayApi

__all__ = ["Recorder", "asked_by", "parse"]


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
