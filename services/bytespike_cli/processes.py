"""Child processes that never outlive their purpose: started, watched, stopped, reaped.

On Linux every child is leashed to its parent by the kernel (``setpriv --pdeathsig``), so even a
``kill -9`` of the parent ends it. Elsewhere, and for the moments in between, each child leaves a
pid file by which the next run in the same home finds and ends what was left over.

Children must be spawned from the main thread: the kernel's leash is tied to the spawning thread.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from bytespike_cli.home import Home, write_private

__all__ = ["Child", "ChildFailed", "reap_leftovers"]

_POLL_S = 0.02
_PROC = Path("/proc")
_LOG_TAIL_LINES = 20
#: Enough for the last lines of any log without reading a long one whole.
_LOG_TAIL_BYTES = 16_384
#: How long a leftover may take to end by itself (a leashed Postgres writes its checkpoint).
_LEFTOVER_GRACE_S = 5.0


class ChildFailed(RuntimeError):
    """A child ended or did not become ready; the message carries the end of its log."""


class Child:
    """One program run below a home: ``logs/<name>.log``, ``run/<name>.pid``.

    ``stop_signal`` asks it to end in its own good way; ``leash_signal`` is what the kernel sends it
    when we die. ``privileges`` are further ``setpriv`` options (Linux).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        home: Home,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        leash_signal: signal.Signals = signal.SIGKILL,
        privileges: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log_path = home.logs / f"{name}.log"
        self._argv = [*leash(leash_signal, privileges), *argv]
        self._env = env
        self._stop_signal = stop_signal
        self._pid_path = home.pids / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Raises ``RuntimeError`` before :meth:`spawn`."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As ``Popen.returncode``: negative = the signal that ended it; None while running."""
        return None if self._process is None else self._process.poll()

    def spawn(self) -> None:
        """Start the program, again if need be. Its log starts empty and goes on at a restart."""
        with self.log_path.open("wb" if self._process is None else "ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._argv,
                env=None if self._env is None else dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C belongs to the parent alone, which stops its children in order.
                start_new_session=True,
            )
        write_private(self._pid_path, f"{self.pid} {_birth(self.pid)}")

    async def ready(self, probe: Callable[[], Awaitable[bool]], *, timeout_s: float) -> None:
        """Wait until ``probe`` says yes. Raises :class:`ChildFailed` if it dies or takes longer."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not self.running:
                raise ChildFailed(self.obituary())
            if await probe():
                return
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready after {timeout_s:.0f} s:\n{self.log_tail()}"
                )
            await asyncio.sleep(_POLL_S)

    async def stop(self, *, grace_s: float) -> None:
        """Ask, wait up to ``grace_s``, then kill. A no-op when it is not running."""
        if self._process is None:
            return
        if self.running:
            self.send(self._stop_signal)
        for _ in range(round(grace_s / _POLL_S)):
            if not self.running:
                break
            await asyncio.sleep(_POLL_S)
        self.kill()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended is left alone. After SIGSTOP, none of its threads runs
        any more when this returns.
        """
        if self._process is None:
            return
        self._process.send_signal(number)
        if number == signal.SIGSTOP and self.running:
            # The kernel stops threads one by one; a server still answers until it reports that.
            # WEXITED: one that is dying will never stop. WNOWAIT: reaping it is not our business.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def kill(self) -> None:
        """``kill -9`` and reap: when this returns the process is gone."""
        if self._process is None:
            return
        if self.running:
            self._process.kill()
        self._process.wait()
        self._pid_path.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The last lines of the log since the latest start, indented, for error messages."""
        with self.log_path.open("rb") as log:
            log.seek(max(self._log_start, self.log_path.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:]) or "  (empty log)"

    def obituary(self) -> str:
        """Why it is not running any more, in words."""
        code = self.exit_code or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return f"{self.name} {how}; the end of {self.log_path}:\n{self.log_tail()}"


def leash(number: signal.Signals, privileges: Sequence[str] = ()) -> list[str]:
    """The command prefix that ties a child's life to ours, or nothing where there is no way."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return []
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), *privileges, "--"]


def reap_leftovers(home: Home) -> list[str]:
    """End children of an earlier run that was killed; returns their names.

    A pid alone proves nothing (it may have been given to someone else since), so the file also
    holds the process's start time.
    """
    reaped = []
    for path in sorted(home.pids.glob("*.pid")):
        pid_text, _, birth = path.read_text().partition(" ")
        if birth and _birth(int(pid_text)) == birth:
            _end(int(pid_text), birth)
            reaped.append(path.stem)
        path.unlink(missing_ok=True)
    return reaped


def _end(pid: int, birth: str) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _LEFTOVER_GRACE_S
        while time.monotonic() < deadline:
            if _birth(pid) != birth:
                return
            time.sleep(_POLL_S)
    raise ChildFailed(f"process {pid} of an earlier run cannot be ended")


def _birth(pid: int) -> str:
    """When a live process started, in the system's own spelling; "" if there is none."""
    if _PROC.exists():
        try:
            # Fields after the parenthesised command name: [0] is the state, [19] the start time.
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[0] == "Z" else fields[19]
    listing = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listing.stdout.strip()
