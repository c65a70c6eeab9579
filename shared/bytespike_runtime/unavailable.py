"""The one thing every driver module says when its server cannot be used right now.

Callers choose by dependency (``KvUnavailable``, ``BusUnavailable``, ``PgUnavailable``); health
checks catch the parent. It always means "try later", never "you did something wrong".
"""

from __future__ import annotations

__all__ = ["Unavailable"]


class Unavailable(Exception):
    """A server this process depends on is down, unreachable or too slow. Retryable."""
