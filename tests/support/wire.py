"""A connection of the HTTP client without a network: every byte and every pause is the test's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bytespike_runtime.http_client.connection import Connection

__all__ = ["Owner", "Wire"]


class SocketOptions:
    """All a connection asks of the socket itself."""

    def setsockopt(self, level: int, option: int, value: int) -> None:
        pass


class Wire(asyncio.Transport):
    """Remembers what is written; ``unsent_bytes`` pretends a full socket."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written = b""
        self.unsent_bytes = 0

    def get_extra_info(self, name: str, default: object = None) -> object:
        return SocketOptions() if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Owner:
    """Records how an exchange ended."""

    events: list[str] = field(default_factory=list)

    def released(self, connection: Connection) -> None:
        self.events.append("released")
        connection.stay_idle(60)

    def lost(self, connection: Connection) -> None:
        self.events.append("lost")
