"""How long ago the key projection was last known to agree with Postgres.

The ledger keeps a marker in Redis while it can verify the projection. Without it, keys that are in
the projection go on working for a bounded grace: an outage of the ledger or of Postgres must not
stop paying customers, and must not leave revoked keys alive for ever either.
"""

from __future__ import annotations

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.keys import PROJECTION_MARKER, ProjectionMarker
from bytespike_runtime.kv import KvUnavailable, ScriptPipe

__all__ = ["ProjectionWatch"]

_decode_marker = msgspec.json.Decoder(ProjectionMarker).decode


class ProjectionWatch:
    """Remembers the newest verification seen. The grace of a process that never saw one starts with
    the process.
    """

    def __init__(self, store: ScriptPipe, *, grace_s: float, started_ms: int) -> None:
        self._store = store
        self._grace_ms = int(grace_s * 1000)
        self._verified_ms = started_ms

    async def poll(self) -> None:
        """Look at the marker once; called every second."""
        try:
            text = await self._store.command("GET", PROJECTION_MARKER)
        except KvUnavailable:
            return
        if not isinstance(text, bytes):
            return
        try:
            marker = _decode_marker(text)
        except msgspec.DecodeError:
            return  # counts as absent: the grace runs
        self._verified_ms = max(self._verified_ms, marker.verified_ms)

    def require_grace(self, now_ms: int) -> None:
        """Raises :class:`GatewayError` (503) once the grace is over."""
        if now_ms - self._verified_ms > self._grace_ms:
            raise GatewayError(
                ErrorCode.UNAVAILABLE,
                "API keys could not be verified for too long; try again later",
                headers={"Retry-After": "5"},
            )
