"""Architecture that import contracts cannot express: one home per driver, no drawer of leftovers.

The import contracts themselves run as ``make imports``; these tests guard what is inside a service.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT, SHARED, imported_modules, name_of, python_files

SERVICES = ("bytespike_edge", "bytespike_text", "bytespike_media", "bytespike_ledger")

#: driver -> the only places that may import it
HOMES: dict[str, tuple[str, ...]] = {
    "asyncpg": (
        "services/bytespike_ledger/store",
        "shared/bytespike_runtime/pg.py",
        "shared/bytespike_runtime/migrate.py",
    ),
    "nats": ("shared/bytespike_runtime/bus",),
    "hiredis": ("shared/bytespike_runtime/kv",),
    "httptools": ("shared/bytespike_runtime/http_client",),
    # Calls to servers that customers name. Our own client goes where we say; this one judges every
    # address between look-up and connect, for which aiohttp's connector has the hooks.
    "aiohttp.ClientSession": ("services/bytespike_ledger/courier/sender.py",),
    "aiohttp.TCPConnector": ("services/bytespike_ledger/courier/sender.py",),
    "bytespike_runtime.http_client.HttpClient": (
        "services/bytespike_edge/forward.py",
        "services/bytespike_edge/app.py",
        "services/bytespike_text/upstream.py",
        "services/bytespike_text/app.py",
        "services/bytespike_ledger/payments/stripe.py",
        "services/bytespike_ledger/app.py",
        "services/bytespike_cli/gateway_api.py",
        "shared/bytespike_runtime/http_client",
    ),
}


@pytest.mark.parametrize("driver", HOMES)
def test_drivers_stay_at_home(driver: str) -> None:
    strangers = [
        name_of(path)
        for path in python_files("services", "shared")
        if any(m == driver or m.startswith(f"{driver}.") for m in imported_modules(path))
        and not name_of(path).startswith(HOMES[driver])
    ]
    assert strangers == []


def test_the_environment_is_read_only_where_a_process_starts() -> None:
    allowed = ("services/bytespike_cli/", "shared/bytespike_runtime/")
    readers = [
        name_of(path)
        for path in python_files("services", "shared")
        if ("os.environ" in path.read_text() or "os.getenv" in path.read_text())
        and not name_of(path).startswith(allowed)
        and path.name not in {"__main__.py", "app.py"}
    ]
    assert readers == []


def test_plumbing_is_shared_only_when_two_services_use_it() -> None:
    used_by: dict[str, set[str]] = {}
    for path in python_files("services"):
        service = path.relative_to(ROOT / "services").parts[0]
        for module in imported_modules(path):
            used_by.setdefault(module, set()).add(service)
    lonely = []
    for path in python_files("shared/bytespike_runtime"):
        module = _module_name(path)
        inside = any(
            module in imported_modules(other)
            for other in python_files("shared/bytespike_runtime")
            if other != path
        )
        if path.name != "__init__.py" and len(used_by.get(module, ())) < 2 and not inside:
            lonely.append(module)
    # One command runs the migrations of every service that has tables, so it has one importer.
    lonely = [module for module in lonely if module != "bytespike_runtime.migrate"]
    assert lonely == []


def test_only_the_registry_knows_all_dialects() -> None:
    dialects = {"anthropic", "gemini", "openai_chat", "openai_responses"}
    names = {f"bytespike_protocols.{dialect}" for dialect in dialects}
    knowing = [
        path.name
        for path in python_files("shared/bytespike_protocols")
        if path.parent.name not in dialects and names & imported_modules(path)
    ]
    assert knowing == ["dialects.py"]


@pytest.mark.parametrize("package", [*SERVICES, *SHARED, "bytespike_cli"])
def test_every_package_imports_alone_in_a_fresh_interpreter(package: str) -> None:
    code = f"import {package}, pkgutil, importlib\n" + (
        f"for m in pkgutil.walk_packages({package}.__path__, '{package}.'):\n"
        "    m.name.endswith('__main__') or importlib.import_module(m.name)\n"
    )
    path = f"{ROOT / 'services'}:{ROOT / 'shared'}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "shared").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
