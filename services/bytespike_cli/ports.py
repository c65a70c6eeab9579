"""TCP ports on the loopback interface: pick free ones, or say plainly that one is taken."""

from __future__ import annotations

import random
import socket

__all__ = ["LOOPBACK", "free_port", "port_is_free"]

LOOPBACK = "127.0.0.1"

#: Below the ephemeral ranges of Linux (32768+) and macOS (49152+): an outgoing connection can never
#: sit on a port we picked, so a killed server always gets its own port back.
_FIRST, _LAST = 15_000, 31_999
_ATTEMPTS = 200

#: Ports handed out by this process: they stay free until their server binds them, and must not be
#: handed out twice meanwhile.
_handed_out: set[int] = set()


def port_is_free(port: int) -> bool:
    """Whether nothing listens there, not even a listener that would share (SO_REUSEPORT)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it, connections of an earlier run in TIME_WAIT would look like a taken port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on, each time another one. Drawn at random, so that processes that
    pick at the same time hardly ever meet.
    """
    for _ in range(_ATTEMPTS):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if port not in _handed_out and port_is_free(port):
            _handed_out.add(port)
            return port
    raise OSError(f"no free port between {_FIRST} and {_LAST}")
