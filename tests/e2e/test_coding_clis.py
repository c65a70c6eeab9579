"""Claude Code, Codex CLI and Gemini CLI, unmodified and headless, do a task with a tool.

They come from npm, which nothing else here needs: docs/clients.md tells how to install them into a
folder and run this file with ``BYTESPIKE_TEST_CLIS`` naming it. Without it everything is skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Customer, Gateway, running_gateway
from tests.support.scripted_agent import tools_offered, vendor_call
from tests.support.stack import DEFAULT_CATALOGUE

_FOLDER = os.environ.get("BYTESPIKE_TEST_CLIS", "")
pytestmark = pytest.mark.skipif(
    not _FOLDER, reason="BYTESPIKE_TEST_CLIS names no folder with the CLIs (docs/clients.md)"
)

_WITHIN_S = 180.0
_TASK = "Write the sum of 41999 and 2 into made.txt."
#: The sum occurs in no prompt, so it can only come from the shell.
_COMMAND, _SUM = "expr 41999 + 2 | tee made.txt", "42001"
#: Not scripted: the simulator looks at the whole request before it says so.
_LAST_WORDS = "This is the ByteSpike simulator answering"


@dataclass(frozen=True, kw_only=True)
class Cli:
    """How one CLI is pointed at the gateway. ``arguments`` and ``environment`` take base URL, key
    and model; ``call`` is its tool for shell commands and the call's arguments.
    """

    program: str
    arguments: Callable[[str], list[str]]
    environment: Callable[[str, str, str], dict[str, str]]
    files: Callable[[str], dict[str, str]]
    call: tuple[str, dict[str, Any]]


def _codex_config(base_url: str) -> str:
    return f"""\
model_provider = "bytespike"
[model_providers.bytespike]
name = "ByteSpike"
base_url = "{base_url}/v1"
env_key = "BYTESPIKE_API_KEY"
wire_api = "responses"
"""


CLAUDE = Cli(
    program="claude",
    arguments=lambda _: ["-p", _TASK, "--allowedTools", "Bash"],
    environment=lambda base_url, key, model: {
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    },
    files=lambda _: {},
    call=("Bash", {"command": _COMMAND, "description": "Write the sum"}),
)
CODEX = Cli(
    program="codex",
    arguments=lambda model: [
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
        *("-m", model),
        _TASK,
    ],
    environment=lambda _, key, __: {"BYTESPIKE_API_KEY": key},
    files=lambda base_url: {".codex/config.toml": _codex_config(base_url)},
    call=("exec_command", {"cmd": _COMMAND}),
)
GEMINI = Cli(
    program="gemini",
    arguments=lambda model: ["-m", model, "-p", _TASK, "--yolo"],
    environment=lambda base_url, key, _: {
        "GOOGLE_GEMINI_BASE_URL": base_url,
        "GEMINI_API_KEY": key,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    },
    files=lambda _: {
        ".gemini/settings.json": json.dumps(
            {
                "security": {"auth": {"selectedType": "gemini-api-key"}},
                "privacy": {"usageStatisticsEnabled": False},
            }
        )
    },
    call=("run_shell_command", {"command": _COMMAND}),
)
#: Model: the dialect of its vendor, and what the vendor calls it.
_VENDORS = {
    "claude-sonnet-4-6": ("anthropic", "claude-sonnet-4-6"),
    "gpt-5-3-codex": ("openai_responses", "gpt-5.3-codex"),
    "gemini-2-5-pro": ("gemini", "gemini-2.5-pro"),
}


@pytest.fixture(scope="module")
async def as_delivered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """What ``make run`` starts: the default catalogue, the simulator for all vendors."""
    folder = tmp_path_factory.mktemp("clis")
    async with running_gateway(folder, catalogue=DEFAULT_CATALOGUE) as gateway:
        yield gateway


@pytest.mark.parametrize("model", _VENDORS)
@pytest.mark.parametrize("cli", [CLAUDE, CODEX, GEMINI], ids=lambda cli: cli.program)
async def test_a_task_with_a_tool_is_done(
    as_delivered: Gateway, cli: Cli, model: str, tmp_path: Path
) -> None:
    gateway = as_delivered
    await gateway.simulator.reset()
    customer = await gateway.customer()
    dialect, vendor_model = _VENDORS[model]
    await gateway.simulator.script(sse=vendor_call(dialect, vendor_model, *cli.call))

    exit_code, printed = await _run(cli, customer, model, tmp_path)

    assert exit_code == 0, printed
    assert _LAST_WORDS in printed
    assert (tmp_path / "work" / "made.txt").read_text() == f"{_SUM}\n"
    last, first = await gateway.simulator.requests()
    assert {first.dialect, last.dialect} == {dialect}
    assert cli.call[0] in tools_offered(first.json())
    assert _SUM.encode() not in first.body
    assert _SUM.encode() in last.body
    rows = await gateway.usage_of(customer, 2)
    assert {row["model"] for row in rows} == {model}
    assert all(row["charge_uusd"] > 0 for row in rows)
    spent = sum(row["charge_uusd"] for row in rows)
    await gateway.settled(customer)
    assert await customer.balance_uusd() == 100_000_000 - spent
    assert (await gateway.audit())["clean"] is True


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-2-5-pro"])
async def test_codex_finds_its_namespaced_tool_under_the_name_other_vendors_know(
    as_delivered: Gateway, model: str, tmp_path: Path
) -> None:
    gateway = as_delivered
    await gateway.simulator.reset()
    customer = await gateway.customer()
    dialect, vendor_model = _VENDORS[model]
    name = "multi_agent_v1__close_agent"
    call = vendor_call(dialect, vendor_model, name, {"target": "nobody"})
    await gateway.simulator.script(sse=call)

    exit_code, printed = await _run(CODEX, customer, model, tmp_path)

    assert exit_code == 0, printed
    last, first = await gateway.simulator.requests()
    assert name in tools_offered(first.json())
    # Codex's own words: it has run the tool, and found no such agent.
    assert b"invalid agent id nobody" in last.body
    assert last.body.count(b'"name":"%b"' % name.encode()) > first.body.count(name.encode())


async def _run(cli: Cli, customer: Customer, model: str, folder: Path) -> tuple[int, str]:
    """The CLI's exit code and what it wrote to standard output, in homes of its own."""
    base_url = customer.gateway.urls[0]
    home, work = folder / "home", folder / "work"
    work.mkdir()
    for name, content in cli.files(base_url).items():
        file = home / name
        file.parent.mkdir(parents=True)
        file.write_text(content)
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        **cli.environment(base_url, customer.key, model),
    }
    process = await asyncio.create_subprocess_exec(
        os.path.join(_FOLDER, "node_modules", ".bin", cli.program),
        *cli.arguments(model),
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    if process.returncode:
        output += errors
    return process.returncode, output.decode()
