"""Which operator a token belongs to, and a brake on those who guess."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import ROOT
from bytespike_ledger.books import Books
from bytespike_ledger.store import connection
from bytespike_ledger.store.actors import read_operator
from bytespike_runtime.addresses import client_network
from bytespike_runtime.failure_limit import FailureLimit
from bytespike_runtime.settings import Secret

__all__ = ["AdminTokens"]


#: Operators at work, each from a place or two.
_TRUSTED_SIZE = 1_000


class AdminTokens:
    """The root token of the settings and the operators' own."""

    def __init__(self, books: Books, root: Secret, failures: FailureLimit) -> None:
        self._books = books
        self._root = root
        self._failures = failures
        #: Tokens by digest that have worked, each with the network it worked from: they go on
        #: working there while somebody else at that address guesses.
        self._trusted: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    async def operator_id(self, authorization: str, address: str) -> str:
        """Raises :class:`GatewayError`: one 401 for every way to be nobody, 429 once ``address``
        has had too many of them.
        """
        scheme, _, token = authorization.partition(" ")
        digest = sha256(token.strip().encode(errors="surrogatepass")).digest()
        trusted = client_network(address), digest
        wait_s = self._failures.wait_s(address)
        if wait_s and trusted not in self._trusted:
            raise self._put_off(wait_s)
        found = await self._find(token.strip(), digest) if scheme.lower() == "bearer" else None
        if found is not None:
            self._trusted[trusted] = None
            self._trusted.move_to_end(trusted)
            if len(self._trusted) > _TRUSTED_SIZE:
                self._trusted.popitem(last=False)
            return found
        self._trusted.pop(trusted, None)
        if wait_s:
            raise self._put_off(wait_s)
        if authorization:  # a credential left out is not a guess
            self._failures.failed(address, digest)
        self._books.metrics.auth_failures.labels("refused").inc()
        raise GatewayError(
            ErrorCode.INVALID_API_KEY,
            "invalid admin token",
            headers={"www-authenticate": "Bearer"},
        )

    async def _find(self, token: str, digest: bytes) -> str | None:
        if self._root.matches(token):
            return ROOT
        async with connection(self._books.pool) as conn:
            return await read_operator(conn, digest)

    def _put_off(self, wait_s: int) -> GatewayError:
        self._books.metrics.auth_failures.labels("put_off").inc()
        return GatewayError(
            ErrorCode.RATE_LIMIT_EXCEEDED,
            "too many wrong admin tokens from this address",
            headers={"retry-after": str(wait_s)},
        )
