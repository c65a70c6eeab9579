"""Identifiers: how each kind looks, and what can be read from it.

Request ids are ULIDs (48 bits of milliseconds, 80 random bits, Crockford base32), so they sort by
time and the day of a usage row follows from its id alone: a replayed event can never land in
another partition. Clock and randomness are passed in; this module stays pure.
"""

from __future__ import annotations

import binascii
import hashlib
import re

__all__ = [
    "KEY_PREFIX",
    "key_hash",
    "key_hint",
    "key_is_well_formed",
    "mint_id",
    "mint_key",
    "partition_of",
    "request_time_ms",
]

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two characters (ten bits) at a time: ids are minted on every request.
_CROCKFORD_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]
_CROCKFORD_VALUE = {char: value for value, char in enumerate(_CROCKFORD)}
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

KEY_PREFIX = "sk-byts-"
_KEY_BODY_CHARS = 40
_KEY_CHECKSUM_CHARS = 6
_GENERATED_KEY = re.compile(rf"{KEY_PREFIX}[0-9A-Za-z]{{{_KEY_BODY_CHARS + _KEY_CHECKSUM_CHARS}}}")
_CUSTOM_KEY = re.compile(r"[A-Za-z0-9_-]{24,128}")

#: Usage events carry a partition so that several ledgers can split the stream by account.
PARTITIONS = 16


def mint_id(prefix: str, now_ms: int, entropy: bytes) -> str:
    """``req_01K…``: ``prefix``, an underscore and a 26-character ULID. ``entropy`` is ten random
    bytes.
    """
    value = (now_ms << 80) | int.from_bytes(entropy[:10], "big")
    pairs = [_CROCKFORD_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]
    return f"{prefix}_{''.join(pairs)}"


def request_time_ms(request_id: str) -> int:
    """The Unix milliseconds inside an id made by :func:`mint_id`. Raises ``ValueError`` if it is
    not one.
    """
    ulid = request_id.rpartition("_")[2]
    if len(ulid) != 26 or any(char not in _CROCKFORD_VALUE for char in ulid):
        raise ValueError(f"not an id of ours: {request_id!r}")
    value = 0
    for char in ulid[:10]:
        value = value * 32 + _CROCKFORD_VALUE[char]
    return value


def mint_key(entropy: bytes) -> str:
    """A new API key from at least 40 random bytes: prefix, 40 base62 characters, 6 of CRC32."""
    if len(entropy) < _KEY_BODY_CHARS:
        raise ValueError("an API key needs 40 bytes of entropy")
    number, chars = int.from_bytes(entropy, "big"), []
    for _ in range(_KEY_BODY_CHARS):
        number, digit = divmod(number, 62)
        chars.append(_BASE62[digit])
    body = KEY_PREFIX + "".join(chars)
    return body + _checksum(body)


def key_is_well_formed(key: str) -> bool:
    """Whether ``key`` can exist at all: a generated key with a right checksum, or a possible custom
    key.

    A key of exactly the generated shape must carry the checksum, so a typo is refused without a
    look-up. Anything else within the custom alphabet may exist (the ledger refuses a custom key of
    generated shape).
    """
    if _GENERATED_KEY.fullmatch(key):
        return _checksum(key[:-_KEY_CHECKSUM_CHARS]) == key[-_KEY_CHECKSUM_CHARS:]
    return bool(_CUSTOM_KEY.fullmatch(key))


def key_hash(key: str) -> str:
    """The look-up form of a key: SHA-256, lower-case hex. Only this is ever stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_hint(key: str) -> str:
    """What may be shown of a key: ``sk-byts-...1234``."""
    return f"{KEY_PREFIX if key.startswith(KEY_PREFIX) else key[:4]}...{key[-4:]}"


def partition_of(account_id: str) -> int:
    """The usage-stream partition of an account; stable across processes and releases."""
    return binascii.crc32(account_id.encode()) % PARTITIONS


def _checksum(body: str) -> str:
    number, chars = binascii.crc32(body.encode()), ""
    for _ in range(_KEY_CHECKSUM_CHARS):
        number, digit = divmod(number, 62)
        chars = _BASE62[digit] + chars
    return chars
