"""The media service as a process: honest answers, real readiness, clean end."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from bytespike_cli.ports import free_port
from tests.support.raw_http import eventually
from tests.tidy.tree import ROOT

CATALOGUE = ROOT / "deploy" / "catalogue" / "default.toml"


def fetch(url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; status 0 while nobody listens."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as failure:
        with failure:
            return failure.code, dict(failure.headers), failure.read()
    except OSError:
        return 0, {}, b""


def spawn(postgres_url: str, nats_url: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bytespike_media"],
        env={
            "PYTHONPATH": f"{ROOT / 'services'}:{ROOT / 'shared'}",
            "BYTESPIKE_POSTGRES_URL": postgres_url,
            "BYTESPIKE_NATS_URL": nats_url,
            "BYTESPIKE_CATALOGUE": str(CATALOGUE),
            **env,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_it_is_ready_answers_404_in_dialect_and_drains(
    postgres_url: str, nats_url: str
) -> None:
    port, ops_port = free_port(), free_port()
    ports = {"BYTESPIKE_MEDIA_PORT": str(port), "BYTESPIKE_MEDIA_OPS_PORT": str(ops_port)}
    process = spawn(postgres_url, nats_url, **ports)
    try:
        ready = f"http://127.0.0.1:{ops_port}/readyz"
        await eventually(lambda: fetch(ready)[0] == 200, within_s=15)
        assert set(json.loads(fetch(ready)[2])["checks"]) == {"postgres", "nats"}
        for method, path in (("POST", "/v1/images/generations"), ("GET", "/v1/tasks/query")):
            status, headers, body = fetch(f"http://127.0.0.1:{port}{path}", method)
            error = json.loads(body)
            assert status == 404
            assert error["error"]["code"] == "not_found"
            assert headers["x-request-id"] == error["request_id"]
        metrics = fetch(f"http://127.0.0.1:{ops_port}/metrics")[2]
        assert b'bytespike_media_requests_total{status="404"} 2.0' in metrics
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.to_thread(process.communicate, timeout=15)
        assert process.returncode == 0
        assert sum(json.loads(line)["event"] == "request" for line in out.splitlines()) == 2
    finally:
        process.kill()


async def test_without_its_servers_it_runs_but_is_not_ready() -> None:
    ops_port = free_port()
    ports = {"BYTESPIKE_MEDIA_PORT": str(free_port()), "BYTESPIKE_MEDIA_OPS_PORT": str(ops_port)}
    process = spawn("postgresql://u@127.0.0.1:1/none", "nats://127.0.0.1:1", **ports)
    try:
        ready = f"http://127.0.0.1:{ops_port}/readyz"
        await eventually(lambda: fetch(ready)[0] == 503, within_s=15)
        checks = json.loads(fetch(ready)[2])["checks"]
        assert all(answer != "ok" for answer in checks.values())
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate, timeout=15)
        assert process.returncode == 0
    finally:
        process.kill()


def test_a_bad_catalogue_stops_it_with_every_problem(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text("models = 3")
    process = spawn("postgresql://x", "nats://x", BYTESPIKE_CATALOGUE=str(catalogue))
    _, err = process.communicate(timeout=15)
    assert process.returncode == 1
    assert str(catalogue) in err
    assert "Traceback" not in err
