"""Signatures of what we post to customers: Standard Webhooks, and a plain one for simple receivers.

A secret is ``whsec_`` and the base64 of 24 to 64 bytes, or a plain text of 24 to 64 printable ASCII
characters. Standard Webhooks signs with the decoded bytes (of a plain text: with the text), as the
libraries of that standard do. ``X-ByteSpike-Signature`` signs with the secret exactly as it was
shown, so that a receiver needs one line and no decoding. The clock is passed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

__all__ = ["SECRET_PREFIX", "check_secret", "mint_secret", "signature_headers"]

SECRET_PREFIX = "whsec_"  # noqa: S105 - a secret starts with it
_SECRET_BYTES = range(24, 65)  # what Standard Webhooks asks for
_MINTED_BYTES = 32


def mint_secret(entropy: bytes) -> str:
    """A new secret from 32 random bytes."""
    if len(entropy) != _MINTED_BYTES:
        raise ValueError(f"a webhook secret is made of {_MINTED_BYTES} bytes")
    return SECRET_PREFIX + base64.b64encode(entropy).decode()


def check_secret(secret: str) -> None:
    """Raises ``ValueError`` saying what is wrong with a secret that somebody chose."""
    if secret.startswith(SECRET_PREFIX):
        try:
            size = len(_standard_key(secret))
        except ValueError:
            raise ValueError(f"what follows {SECRET_PREFIX} is not base64") from None
        what = f"bytes in base64 after {SECRET_PREFIX}"
    else:
        size, what = len(secret), "printable ASCII characters"
        if not (secret.isascii() and secret.isprintable()):
            size = 0
    if size not in _SECRET_BYTES:
        raise ValueError(f"expected {_SECRET_BYTES.start} to {_SECRET_BYTES.stop - 1} {what}")


def signature_headers(
    secret: str, body: bytes, *, message_id: str, timestamp_s: int
) -> dict[str, str]:
    """The headers that prove who sent ``body``. ``message_id`` stays the same over repetitions;
    ``timestamp_s`` (Unix seconds) is that of this attempt.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp_s, body)
    digest = hmac.digest(_standard_key(secret), signed, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "x-bytespike-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def _standard_key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return secret.encode()
