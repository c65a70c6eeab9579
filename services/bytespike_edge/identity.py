"""Whose request it is: the key presented, looked up, and a brake on those who guess.

A key whose copy is at hand is served from it, whatever else comes from the same address: a wrong
key behind a shared address must not lock out the right ones. Everything that needs a look-up
waits once an address has failed too often, and every failure looks the same.
"""

from __future__ import annotations

from hashlib import sha256

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.key_cache import KeyCache, KnownKey, invalid_key
from bytespike_edge.metrics import EdgeMetrics
from bytespike_edge.projection import ProjectionWatch
from bytespike_runtime.failure_limit import FailureLimit

__all__ = ["Identifier"]


class Identifier:
    """Finds the live key of a request."""

    def __init__(
        self,
        keys: KeyCache,
        projection: ProjectionWatch,
        failures: FailureLimit,
        metrics: EdgeMetrics,
    ) -> None:
        self._keys = keys
        self._projection = projection
        self._failures = failures
        self._metrics = metrics

    def at_hand(self, presented: str | None, now_ms: int) -> KnownKey | None:
        """The live key without a look-up, or None: then :meth:`look_up`."""
        key = None if presented is None else self._keys.fresh(presented)
        if key is None or not _is_live(key, now_ms):
            return None
        self._projection.require_grace(now_ms)
        return key

    async def look_up(self, presented: str | None, address: str, now_ms: int) -> KnownKey:
        """The live key. Raises :class:`GatewayError`: one 401 for every way not to have one, 429
        once ``address`` has had too many of them, 503 if it cannot be known now.
        """
        if presented is None:  # a credential left out is not a guess
            raise invalid_key()
        wait_s = self._failures.wait_s(address)
        if wait_s and not self._keys.knows(presented):
            raise self._put_off(wait_s)
        try:
            key = await self._keys.find(presented)
            self._projection.require_grace(now_ms)
            if not _is_live(key, now_ms):
                raise invalid_key()
        except GatewayError as error:
            if error.code is not ErrorCode.INVALID_API_KEY:
                raise
            if wait_s:
                raise self._put_off(wait_s) from None
            self._failures.failed(
                address, sha256(presented.encode(errors="surrogatepass")).digest()
            )
            self._metrics.auth_refused()
            raise
        return key

    def _put_off(self, wait_s: int) -> GatewayError:
        self._metrics.auth_put_off()
        return GatewayError(
            ErrorCode.RATE_LIMIT_EXCEEDED,
            "too many wrong API keys from this address",
            headers={"Retry-After": str(wait_s)},
        )


def _is_live(key: KnownKey, now_ms: int) -> bool:
    expires_ms = key.record.expires_ms
    return key.record.enabled and (expires_ms is None or expires_ms > now_ms)
