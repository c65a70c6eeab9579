"""``demo.json``: where a running local stack is and how to get in, for scripts and for `admin`.

Present exactly while a stack is ready; mode 0600, since it holds keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bytespike_cli.home import write_private

__all__ = [
    "DemoFile",
    "ServiceAddress",
    "demo_file",
    "nats_url_of",
    "read_demo_file",
    "remove_demo_file",
    "write_demo_file",
]


class ServiceAddress(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    url: str
    metrics_url: str


class DemoFile(msgspec.Struct, frozen=True, kw_only=True):
    """Its whole content. ``simulator_url`` is None when every vendor is real."""

    base_url: str
    api_key: str
    manage_key: str
    admin_token: str
    nats_url: str
    simulator_url: str | None
    services: dict[str, ServiceAddress]


def demo_file(home: Path) -> Path:
    return home / "demo.json"


def read_demo_file(home: Path) -> DemoFile:
    """Of the stack that runs in ``home``. Raises ``ValueError`` if none does."""
    try:
        return msgspec.json.decode(demo_file(home).read_bytes(), type=DemoFile)
    except FileNotFoundError:
        raise ValueError(
            f"no gateway runs in {home}: start `bytespike up`, or set BYTESPIKE_URL and "
            "BYTESPIKE_ADMIN_TOKEN"
        ) from None


def nats_url_of(home: Path, env: Mapping[str, str]) -> str:
    """Where usage events go: of the environment, else of the stack that runs in ``home``."""
    return env.get("BYTESPIKE_NATS_URL") or read_demo_file(home).nats_url


def write_demo_file(home: Path, content: DemoFile) -> None:
    """Readers see all of it or none."""
    text = msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
    write_private(demo_file(home), text + "\n")


def remove_demo_file(home: Path) -> None:
    """The processes it names are gone, or not there yet."""
    demo_file(home).unlink(missing_ok=True)
