"""Envelope encryption of what must be readable again: keys to reveal, webhook secrets.

Each secret is sealed under a random data key of its own, and the data key under a key-encryption
key of the operator's, which never comes near the database. So key-encryption keys are changed by
wrapping small data keys anew; the sealed secrets stay as they are. What is sealed is bound to its
purpose and owner: a row copied to another owner does not open there.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["BrokenSeal", "Purpose", "Sealed", "Sealer", "UnknownKek", "parse_encryption_keys"]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEK_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
#: More than a handful of generations is a clean-up that somebody forgot.
_MAX_KEKS = 16


class Purpose(StrEnum):
    """What a sealed secret is for (closed set; part of what the seal is bound to)."""

    API_KEY = "api_key"
    WEBHOOK = "webhook"


class UnknownKek(Exception):
    """Sealed under a key-encryption key that this process was not given."""

    def __init__(self, kek_id: str) -> None:
        super().__init__(f"no encryption key {kek_id!r} is configured")
        self.kek_id = kek_id


class BrokenSeal(Exception):
    """Not what was sealed: changed, cut, moved to another owner, or another key of the same id."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed secret as stored. ``wrapped`` and ``sealed`` are a nonce and AES-256-GCM's output:
    of the data key under ``kek_id``, and of the secret under the data key.
    """

    kek_id: str
    wrapped: bytes
    sealed: bytes


class Sealer:
    """Seals and opens. ``keys`` maps ids to keys of 32 bytes; the first is used for sealing, the
    others only open what was sealed before. Without any, nothing can be sealed (``enabled``).
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {kek_id: AESGCM(key) for kek_id, key in keys.items()}
        self._current = next(iter(keys), None)

    @property
    def enabled(self) -> bool:
        """Whether secrets can be sealed here."""
        return self._current is not None

    @property
    def current_kek_id(self) -> str:
        """What :meth:`seal` and :meth:`rewrap` use. Raises ``RuntimeError`` if not enabled."""
        if self._current is None:
            raise RuntimeError("no encryption key is configured: check Sealer.enabled first")
        return self._current

    def seal(self, purpose: str, owner_id: str, secret: bytes) -> Sealed:
        """Seal ``secret`` for one owner. Raises ``RuntimeError`` if not enabled."""
        kek_id = self.current_kek_id
        data_key = secrets.token_bytes(_KEY_BYTES)
        return Sealed(
            kek_id=kek_id,
            wrapped=_encrypt(self._keys[kek_id], data_key, _bound(purpose, owner_id, kek_id)),
            sealed=_encrypt(AESGCM(data_key), secret, _bound(purpose, owner_id)),
        )

    def open(self, purpose: str, owner_id: str, sealed: Sealed) -> bytes:
        """The secret. Raises :class:`UnknownKek` or :class:`BrokenSeal`."""
        data_key = self._unwrap(purpose, owner_id, sealed)
        return _decrypt(AESGCM(data_key), sealed.sealed, _bound(purpose, owner_id))

    def rewrap(self, purpose: str, owner_id: str, sealed: Sealed) -> Sealed:
        """The same secret under the current key-encryption key; ``sealed.sealed`` is not touched.

        Raises :class:`UnknownKek`, :class:`BrokenSeal`, or ``RuntimeError`` if not enabled.
        """
        kek_id = self.current_kek_id
        data_key = self._unwrap(purpose, owner_id, sealed)
        wrapped = _encrypt(self._keys[kek_id], data_key, _bound(purpose, owner_id, kek_id))
        return replace(sealed, kek_id=kek_id, wrapped=wrapped)

    def _unwrap(self, purpose: str, owner_id: str, sealed: Sealed) -> bytes:
        kek = self._keys.get(sealed.kek_id)
        if kek is None:
            raise UnknownKek(sealed.kek_id)
        data_key = _decrypt(kek, sealed.wrapped, _bound(purpose, owner_id, sealed.kek_id))
        if len(data_key) != _KEY_BYTES:
            raise BrokenSeal
        return data_key


def parse_encryption_keys(text: str) -> dict[str, bytes]:
    """``id:base64-of-32-bytes``, comma-separated, the current one first; empty text = none.

    Raises ``ValueError`` naming what is wrong by position, never showing a key.
    """
    keys: dict[str, bytes] = {}
    for number, item in enumerate(text.split(",") if text.strip() else (), 1):
        kek_id, colon, encoded = item.strip().partition(":")
        if not colon or not _KEK_ID.fullmatch(kek_id):
            raise ValueError(
                f"encryption key {number} is not id:base64 with an id of 1 to 32 letters, digits,"
                " '_', '.' or '-'"
            )
        if kek_id in keys:
            raise ValueError(f"encryption key {number} repeats the id {kek_id!r}")
        keys[kek_id] = _key_of(encoded, f"encryption key {number} ({kek_id})")
    if len(keys) > _MAX_KEKS:
        raise ValueError(f"more than {_MAX_KEKS} encryption keys")
    return keys


def _key_of(encoded: str, what: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{what} is not base64") from None
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{what} has {len(key)} bytes instead of {_KEY_BYTES}")
    return key


def _bound(purpose: str, owner_id: str, kek_id: str = "") -> bytes:
    """Associated data; none of the parts can hold a zero byte, so no two lists look the same."""
    return "\0".join(("bytespike-seal-1", purpose, owner_id, kek_id)).encode()


def _encrypt(key: AESGCM, plain: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, bound)


def _decrypt(key: AESGCM, stored: bytes, bound: bytes) -> bytes:
    try:
        return key.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):  # the latter: cut so short that there is no nonce or tag
        raise BrokenSeal from None
