"""`bytespike up`: the whole gateway on this machine, until Ctrl-C.

It owns the terminal and the signals; what runs and in which order is :class:`Stack`'s business. It
must leave no process behind, however it ends.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bytespike_cli.demo import Demo, ensure_demo
from bytespike_cli.demo_file import DemoFile, ServiceAddress, remove_demo_file, write_demo_file
from bytespike_cli.gateway_api import ApiError, GatewayApi
from bytespike_cli.home import Home, HomeBusy
from bytespike_cli.ports import port_is_free
from bytespike_cli.processes import ChildFailed, reap_leftovers
from bytespike_cli.servers import ServersMissing
from bytespike_cli.stack import Stack, StackOptions
from bytespike_contracts.catalogue import CatalogueError
from bytespike_runtime.migrate import MigrationError
from bytespike_runtime.pg import PgUnavailable

__all__ = ["up"]

_DEFAULT_PORT = 8080
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(RuntimeError):
    """Something its user can change stands in the way; shown in one line."""


def up(home_path: Path, catalogue: Path, env: Mapping[str, str]) -> int:
    """Run until told to stop; returns the exit code (0 only after an orderly stop)."""
    home = Home(home_path)
    try:
        home.lock()
        for name in reap_leftovers(home):
            _say(f"ended {name}, left over from an earlier run")
        remove_demo_file(home.root)
        return asyncio.run(_run(Stack(home, _options(catalogue, env))))
    except (HomeBusy, CannotStart, ServersMissing, CatalogueError, OSError) as error:
        print(f"bytespike: {error}", file=sys.stderr)
        return 1
    finally:
        home.unlock()


def _options(catalogue: Path, env: Mapping[str, str]) -> StackOptions:
    text = env.get("BYTESPIKE_EDGE_PORT") or str(_DEFAULT_PORT)
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise CannotStart(f"BYTESPIKE_EDGE_PORT is not a port: {text!r}")
    if not port_is_free(int(text)):
        raise CannotStart(
            f"port {text} is taken: stop what listens there, or choose another one, for example "
            f"BYTESPIKE_EDGE_PORT={int(text) + 1 if int(text) < 65_535 else _DEFAULT_PORT}"
        )
    return StackOptions(catalogue=catalogue, environment=env, edge_port=int(text))


async def _run(stack: Stack) -> int:
    began = time.monotonic()
    _say(f"ByteSpike starts in {_short(stack.home.root)} (logs in logs/)")
    failure = ""
    async with _stopped_by_signals(stack):
        try:
            await stack.start(lambda part, seconds: _say(f"  {part:<12} ready  {seconds:5.1f} s"))
            async with GatewayApi(stack.base_url, stack.admin_token) as api:
                demo = await ensure_demo(api, stack.home)
            write_demo_file(stack.home.root, _demo_file(stack, demo))
            _say(_welcome(stack, demo, time.monotonic() - began))
            await stack.watch()
        except asyncio.CancelledError:
            _say("\nStopping ...")
        except (ChildFailed, ApiError, MigrationError, PgUnavailable) as error:
            failure = str(error)
            print(f"\nbytespike: {failure}\n\nStopping everything ...", file=sys.stderr)
        finally:
            remove_demo_file(stack.home.root)
            await stack.stop()
    _say("Everything is stopped.")
    return 1 if failure else 0


@asynccontextmanager
async def _stopped_by_signals(stack: Stack) -> AsyncIterator[None]:
    """The first signal cancels the body; a second one makes short work of a slow stop."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    received = 0

    def on_signal() -> None:
        nonlocal received
        received += 1
        if received == 1 and task is not None:
            task.cancel()
        else:
            stack.kill()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _demo_file(stack: Stack, demo: Demo) -> DemoFile:
    return DemoFile(
        base_url=stack.base_url,
        api_key=demo.api_key,
        manage_key=demo.manage_key,
        admin_token=stack.admin_token,
        nats_url=stack.nats_url,
        simulator_url=None if stack.simulator is None else stack.simulator.url,
        services={
            name: ServiceAddress(
                pid=service.child.pid, url=service.url, metrics_url=service.metrics_url
            )
            for name, service in stack.services.items()
        },
    )


def _welcome(stack: Stack, demo: Demo, seconds: float) -> str:
    model = stack.vendors.model or "MODEL"
    messages = [{"role": "user", "content": "Say hello in three languages."}]
    body = {"model": model, "max_tokens": 256, "stream": True, "messages": messages}
    streamed = (
        f"curl -sN {stack.base_url}/v1/messages -H 'x-api-key: {demo.api_key}' "
        "-H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' "
        f"-d {shlex.quote(json.dumps(body))}"
    )
    balance = f"curl -s {stack.base_url}/v1/balance -H 'x-api-key: {demo.api_key}'"
    program = (
        "import anthropic; "
        f"client = anthropic.Anthropic(base_url='{stack.base_url}', api_key='{demo.api_key}'); "
        f"print(client.messages.create(model='{model}', max_tokens=64, "
        "messages=[{'role': 'user', 'content': 'Hello'}]).content[0].text)"
    )
    return f"""
Ready after {seconds:.1f} s; answers come from {_answering(stack)}

  Base URL  {stack.base_url}
  API key   {demo.api_key}

A streamed answer, what is left in the wallet, and the official SDK:

{streamed}

{balance}

{_short(Path(sys.executable))} -c "{program}"

Manage it with `{_short(Path(sys.executable).with_name("bytespike"))} admin --help`. \
Ctrl-C stops everything."""


def _answering(stack: Stack) -> str:
    vendors = stack.vendors
    if stack.simulator is not None:
        return f"the simulator, {stack.simulator.url}"
    if not vendors.real:
        return "nowhere: no channel of the catalogue has a key"
    left_out = (
        f"\nLeft out for want of a key: {', '.join(vendors.absent)}" if vendors.absent else ""
    )
    return f"real vendors: {', '.join(vendors.real)}{left_out}"


def _short(path: Path) -> str:
    """Relative to where the user stands, if that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _say(text: str) -> None:
    print(text, flush=True)
