"""The folder a local stack lives in: lock, secrets, logs and pid files.

Everything a run leaves behind is below one folder (``BYTESPIKE_HOME``), private to its owner, so
removing the folder removes the stack. The lock is a kernel lock: it ends with the process that
holds it, however that process ends.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["Home", "HomeBusy", "mint_encryption_key", "mint_password", "write_private"]

_PASSWORD_BYTES = 24
_KEY_BYTES = 32  # AES-256
_ENCRYPTION_KEYS = "encryption-keys"


def mint_password() -> str:
    """A password nobody has to type."""
    return secrets.token_hex(_PASSWORD_BYTES)


def mint_encryption_key() -> str:
    """A new key for the ledger's ``encryption_keys``, with an id of its own."""
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    return f"k-{secrets.token_hex(4)}:{key}"


class HomeBusy(RuntimeError):
    """Another process runs a stack in the same folder."""


class Home:
    """``root`` and the few folders below it; created on first use with mode 0700."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.pids = self.root / "run"
        self._secrets = self.root / "secrets"
        self._lock_fd: int | None = None
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for folder in (self.logs, self.pids, self._secrets):
            folder.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> None:
        """Take the folder for this process. Raises :class:`HomeBusy` naming the holder."""
        fd = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode().strip() or "unknown"
            os.close(fd)
            raise HomeBusy(
                f"{self.root} is in use by process {holder}: stop it, "
                "or set BYTESPIKE_HOME to another folder"
            ) from None
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._lock_fd = fd

    def unlock(self) -> None:
        """Let the next run in (a no-op unless :meth:`lock` succeeded)."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def secret(self, name: str, make: Callable[[], str] = mint_password) -> str:
        """The secret of that name, made up on first use and kept for later runs."""
        path = self._secrets / name
        if not path.exists():
            write_private(path, make())
        return path.read_text()

    def encryption_keys_path(self) -> Path:
        """The file with the ledger's encryption keys; one key is made on first use."""
        self.secret(_ENCRYPTION_KEYS, mint_encryption_key)
        return self._secrets / _ENCRYPTION_KEYS

    def secret_path(self, name: str) -> Path:
        """The file of :meth:`secret`, for programs that read a password from a file."""
        self.secret(name)
        return self._secrets / name


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 that readers see whole or not at all."""
    # mkstemp creates with 0600, so there is no moment at which others could read the content.
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
