"""Token counts, invented but fixed: four bytes of text a token, so that a test can work out what it
will be charged.
"""

from __future__ import annotations

__all__ = [
    "BYTES_PER_TOKEN",
    "DOCUMENT_BYTES_PER_TOKEN",
    "IMAGE_TOKENS",
    "MESSAGE_TOKENS",
    "bytes_tokens",
    "encoded_tokens",
    "text_tokens",
]

BYTES_PER_TOKEN = 4
#: Role markers and the like, for each message.
MESSAGE_TOKENS = 3
IMAGE_TOKENS = 1_600
#: Base64 characters of a document or recording a token; they hold far more bytes than words.
DOCUMENT_BYTES_PER_TOKEN = 100


def bytes_tokens(size: int) -> int:
    """Tokens of so many bytes of text."""
    return -(-size // BYTES_PER_TOKEN)


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return bytes_tokens(len(text.encode()))


def encoded_tokens(data: str) -> int:
    """Tokens of a document or a recording given in base64."""
    return len(data) // DOCUMENT_BYTES_PER_TOKEN + 1
