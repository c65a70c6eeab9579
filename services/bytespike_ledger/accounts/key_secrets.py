"""The secrets of keys that can be revealed: kept sealed where an encryption key is configured."""

from __future__ import annotations

import hmac

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import key_hash
from bytespike_ledger.books import Books
from bytespike_ledger.sealing import BrokenSeal, Purpose, UnknownKek
from bytespike_ledger.store import Connection
from bytespike_ledger.store import secrets as store
from bytespike_ledger.store.keys import KeyRow
from bytespike_runtime.logs import get_logger

__all__ = ["keep_secret", "kept_secret"]

_log = get_logger()


async def keep_secret(books: Books, conn: Connection, row: KeyRow, secret: str) -> None:
    """Seal a key's new secret; where nothing can be sealed, forget the one before it."""
    if not books.sealer.enabled:
        await store.delete_secret(conn, row.id)
        return
    sealed = books.sealer.seal(Purpose.API_KEY, row.id, secret.encode())
    await store.put_secret(conn, row.id, row.account_id, Purpose.API_KEY, sealed)


async def kept_secret(books: Books, conn: Connection, row: KeyRow) -> str:
    """The key's secret. Raises ``GatewayError`` 409 where it is not kept or cannot be opened with
    the encryption keys at hand, 500 if what is kept is not what was sealed.
    """
    if not books.sealer.enabled:
        raise _disabled("keys cannot be revealed here: no encryption key is configured")
    sealed = await store.read_secret(conn, row.id)
    if sealed is None:
        raise _disabled("this key was made before keys could be revealed; rotate it")
    try:
        secret = books.sealer.open(Purpose.API_KEY, row.id, sealed).decode()
        if not hmac.compare_digest(key_hash(secret), row.key_hash.hex()):
            raise BrokenSeal
    except UnknownKek as error:
        raise _disabled(f"this key cannot be revealed now: {error}") from error
    except BrokenSeal as error:
        _log.error("a sealed secret is broken", owner_id=row.id, kek_id=sealed.kek_id)
        raise GatewayError(
            ErrorCode.INTERNAL_ERROR, "the stored secret of this key is damaged; rotate the key"
        ) from error
    return secret


def _disabled(message: str) -> GatewayError:
    return GatewayError(ErrorCode.REVEAL_DISABLED, message)
