"""Usage events on disk, on their way to the bus: the file is the queue.

An event is appended before the client has the last byte of the answer it charges for, so a router
that is killed at any instant loses no charge. `write()` is enough for that: the page cache belongs
to the kernel, not to the process. (Losing the machine loses the last moments of one router; their
holds run out and nobody is charged.)

A process owns one folder of segment files, held by a file lock; folders whose owner died are
adopted by the next process that starts. Memory does not grow with the backlog.
"""

from __future__ import annotations

import binascii
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from bytespike_contracts.subjects import usage_subject
from bytespike_contracts.usage import UsageEvent, encode_event

__all__ = ["Batch", "Journal", "Line", "Position", "Spool", "SpoolError", "adopt_orphans"]

#: Small enough that published disk space comes back soon, large enough that files are few.
SEGMENT_BYTES = 8 * 1024 * 1024
#: One event is below 1 KiB plus its attempts; a batch of 64 fits several times.
_READ_BYTES = 256 * 1024

#: Appended events are remembered until they are published, so that the publisher need not read the
#: file again. A thousand are under a megabyte; with a longer backlog it reads from disk.
_REMEMBERED_EVENTS = 1024

_LOCK, _OFFSET, _SUFFIX = "lock", "published", ".events"


class SpoolError(Exception):
    """The disk refused an event (full, gone, read-only)."""


class Position(NamedTuple):
    """A place between two events; positions of one journal are ordered."""

    segment: int
    offset: int


class Line(NamedTuple):
    """One event as it lies on disk: the subject it goes to, and its JSON."""

    subject: str
    event: bytes


class Batch(NamedTuple):
    """Events between two positions; ``torn`` counts lines in between that cannot be read."""

    lines: list[Line]
    start: Position
    end: Position
    torn: int


class Journal:
    """A folder of segments read from its published position on. ``name`` is unique for ever."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._published = _read_offset(folder / _OFFSET)
        self._offset_fd = os.open(folder / _OFFSET, os.O_RDWR | os.O_CREAT, 0o600)
        #: Numbers of the segment files, oldest first.
        self._segments = sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}"))

    @property
    def published(self) -> Position:
        """Everything before it has been acknowledged by the bus."""
        return self._published

    def read(self, max_events: int, *, until: Position | None = None) -> Batch:
        """The next unpublished events, of one segment; an empty batch whose ``end`` is ahead of
        its ``start`` skips what cannot be read.
        """
        for number in self._segments:
            start = max(self._published, Position(number, 0))
            if start.segment != number:
                continue
            if until is not None and start >= until:
                break
            limit = until.offset if until is not None and until.segment == number else None
            batch = _read_segment(self._path(number), start, limit, max_events)
            if batch.end > start:
                return batch
        return Batch([], self._published, self._published, 0)

    def acknowledge(self, position: Position) -> None:
        """Everything before ``position`` is safe with the bus: remember it, drop whole segments."""
        # One small write in place: killed in the middle of anything else, we would only repeat
        # events, which the ledger recognises by their request id.
        os.pwrite(self._offset_fd, b"%010d %012d\n" % position, 0)
        self._published = position
        while self._segments and self._segments[0] < position.segment:
            self._path(self._segments.pop(0)).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the folder; its files stay."""
        os.close(self._offset_fd)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_SUFFIX}"


class Spool(Journal):
    """The journal this process writes. Once ``limit_bytes`` are unpublished :attr:`full` turns true
    and paid work must be refused.

    An appended event may be read only after :meth:`release`: its hold is finished first, so that
    the ledger never settles a hold that is still to be finished.
    """

    def __init__(self, folder: Path, *, limit_bytes: int, lock_fd: int) -> None:
        super().__init__(folder)
        self._limit_bytes = limit_bytes
        self._lock_fd = lock_fd
        self._withheld: dict[Position, None] = {}
        #: The last events appended: where each begins and ends, and what it is.
        self._recent: deque[tuple[Position, Position, Line]] = deque(maxlen=_REMEMBERED_EVENTS)
        self._failed = False
        self._end = Position(1, 0)
        self._fd = self._open_segment(1)
        self.pending_events = 0
        self.pending_bytes = 0

    @classmethod
    def create(cls, root: Path, name: str, *, limit_bytes: int) -> Self:
        """A new folder ``name`` under ``root``, locked by this process. Raises ``OSError``."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _exclusive(root):
            folder = root / name
            folder.mkdir(mode=0o700)
            lock_fd = _try_lock(folder)
            if lock_fd is None:
                raise OSError(f"{folder} belongs to another process")
            return cls(folder, limit_bytes=limit_bytes, lock_fd=lock_fd)

    @property
    def full(self) -> bool:
        """Whether another event may not find room (or the last one found none)."""
        return self._failed or self.pending_bytes >= self._limit_bytes

    @property
    def readable_end(self) -> Position:
        """Events before it are released (the first one withheld stops the reader)."""
        return next(iter(self._withheld), self._end)

    def append(self, event: UsageEvent) -> Position:
        """Write one event. Raises :class:`SpoolError` if it is not on disk as a whole."""
        line, entry = _line(event)
        if self._end.offset >= SEGMENT_BYTES:
            self._roll()
        position = self._end
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._failed = True
            raise SpoolError(os.strerror(error.errno or 0)) from error
        if written != len(line):
            # A disk that fills up in mid-line: take the piece back, so that nothing follows it.
            os.ftruncate(self._fd, position.offset)
            self._failed = True
            raise SpoolError("the disk is full")
        self._failed = False
        self._end = Position(position.segment, position.offset + written)
        self._withheld[position] = None
        self._recent.append((position, self._end, entry))
        self.pending_events += 1
        self.pending_bytes += written
        return position

    def release(self, position: Position) -> None:
        """Let the publisher have the event appended at ``position``."""
        self._withheld.pop(position, None)

    def read_released(self, max_events: int) -> Batch:
        """The next unpublished events whose holds are finished."""
        until = self.readable_end
        return self._recall(max_events, until) or self.read(max_events, until=until)

    def _recall(self, max_events: int, until: Position) -> Batch | None:
        """The same from memory; None if what comes next is not there, or nothing may be read."""
        start = max(self._published, Position(self._segments[0], 0))
        recent = self._recent
        while recent and recent[0][0] < start:
            recent.popleft()
        if not recent or recent[0][0] != start:
            return None
        lines: list[Line] = []
        end = start
        for begins, ends, line in recent:
            if begins >= until or begins.segment != start.segment or len(lines) == max_events:
                break
            lines.append(line)
            end = ends
        return Batch(lines, start, end, 0) if lines else None

    def settle_batch(self, batch: Batch) -> None:
        """The bus has the batch."""
        self.acknowledge(batch.end)
        self.pending_events -= len(batch.lines) + batch.torn
        self.pending_bytes -= batch.end.offset - batch.start.offset

    def probe(self) -> None:
        """After a disk error: find out whether writing works again (nothing is appended)."""
        if self._failed:
            try:
                os.ftruncate(self._fd, self._end.offset)
                os.posix_fallocate(self._fd, self._end.offset, 1)
                os.ftruncate(self._fd, self._end.offset)
            except OSError:
                return
            self._failed = False

    def close(self) -> None:
        """Close; the folder is removed if everything in it was published."""
        empty = self._published >= self._end
        os.close(self._fd)
        super().close()
        if empty:
            _remove(self.folder)
        os.close(self._lock_fd)

    def _roll(self) -> None:
        os.close(self._fd)
        number = self._end.segment + 1
        self._fd = self._open_segment(number)
        self._end = Position(number, 0)

    def _open_segment(self, number: int) -> int:
        fd = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._segments.append(number)
        return fd


class Orphan(Journal):
    """A dead process's journal, locked by us until it is published and removed."""

    def __init__(self, folder: Path, lock_fd: int) -> None:
        super().__init__(folder)
        self._lock_fd = lock_fd

    def remove(self) -> None:
        """Everything is published: the folder goes."""
        _remove(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of the folder; if it still has events, the next process adopts it."""
        super().close()
        os.close(self._lock_fd)


def adopt_orphans(root: Path) -> list[Orphan]:
    """Journals under ``root`` whose owner is dead, now locked by us."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _exclusive(root):
        orphans = []
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            lock_fd = _try_lock(folder)
            if lock_fd is not None:
                orphans.append(Orphan(folder, lock_fd))
        return orphans


def _line(event: UsageEvent) -> tuple[bytes, Line]:
    """How an event lies on disk, and what :func:`_read_line` will make of it."""
    entry = Line(usage_subject(event.account_id), encode_event(event))
    body = b"%b %b" % (entry.subject.encode(), entry.event)
    return b"%08x %d %b\n" % (binascii.crc32(body), len(body), body), entry


def _read_line(line: bytes) -> Line | None:
    """None for a line that is torn or damaged; a line that is not was written by :func:`_line`."""
    checksum, _, rest = line.partition(b" ")
    length, _, body = rest.partition(b" ")
    if not length.isdigit() or int(length) != len(body):
        return None
    if checksum != b"%08x" % binascii.crc32(body):
        return None
    subject, _, encoded = body.partition(b" ")
    return Line(subject.decode(), encoded)


def _read_segment(path: Path, start: Position, limit: int | None, max_events: int) -> Batch:
    """Whole lines from ``start`` up to ``limit``. A last line without its end is left alone: its
    writer died inside it, or is still writing it.
    """
    with path.open("rb") as file:
        file.seek(start.offset)
        size = _READ_BYTES if limit is None else min(_READ_BYTES, limit - start.offset)
        data = file.read(max(0, size))
    lines: list[Line] = []
    at = torn = 0
    while len(lines) < max_events and (end := data.find(b"\n", at)) >= 0:
        line = _read_line(data[at:end])
        if line is None:
            torn += 1
        else:
            lines.append(line)
        at = end + 1
    return Batch(lines, start, Position(start.segment, start.offset + at), torn)


def _read_offset(path: Path) -> Position:
    try:
        segment, offset = path.read_bytes().split()
        return Position(int(segment), int(offset))
    except (FileNotFoundError, ValueError):
        return Position(1, 0)


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """No folder is made or adopted by anybody else meanwhile."""
    fd = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _try_lock(folder: Path) -> int | None:
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
