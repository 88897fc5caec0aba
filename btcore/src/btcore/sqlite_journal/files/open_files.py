# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the connections of the SQLite journal have open: whether they are still those in the directory.

A file that was removed goes on being written by whoever has it open, and is gone when that ends. What SQLite itself has
not changed was changed by another: this is seen in its index of the log (`-shm`), which says what it did. What is done
about it does not belong here.

No file that SQLite has open is opened here but for as long as the connections are: to close it would give up its locks.
"""

import os
import struct
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from btcore.sqlite_journal.files.wal import FRAME_HEADER, HEADER, is_intact, read_header

FRAMES = 20
"""Frames of the log whose checksums are looked at in one turn."""

INDEX = 136
"""Bytes of the index of the log that say what SQLite has done."""


class Fault(Enum):
    """What is wrong with the files, by what can be done about it."""

    GONE = "the connections have all that there is; the directory has not"
    LOG_GONE = "the same, but only of the log, or of its index"
    FOREIGN = "nobody may open the file again: its rights or its owner were changed"
    BROKEN = "what the connections have is damaged"
    CHANGED = "somebody else has written to the file: whether it is damaged is to be seen"


class Finding(NamedTuple):
    """A fault, and what was done to the file, for a person: what follows its name."""

    fault: Fault
    text: str


class _Id(NamedTuple):
    device: int
    node: int


class OpenFiles:
    """The files of one journal that is open in this process."""

    def __init__(self, file: Path) -> None:
        """Take note of them as they are now. Raises OSError."""
        self._file = file
        self._log = Path(f"{file}-wal")
        self._shm = Path(f"{file}-shm")
        self._descriptors = [os.open(one, os.O_RDONLY | os.O_CLOEXEC) for one in (file, self._shm) if one.exists()]
        self._ids = {one: _id(one) for one in (file, self._log, self._shm)}
        self._size = 0
        self._seen: tuple[int, bytes] | None = None
        self._frame = 0

    def close(self) -> None:
        """Close them; the connections are closed already."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def find(self) -> Finding | None:
        """Return what is wrong; None where all is well. Nobody writes to the journal meanwhile."""
        if _id(self._file) != self._ids[self._file]:
            return Finding(Fault.GONE, "was replaced by another file" if self._file.exists() else "was removed")
        if not is_ours(self._file):
            return Finding(Fault.FOREIGN, "was given other rights, or another owner,")
        for one in (self._log, self._shm):
            if self._ids[one] is not None and _id(one) != self._ids[one]:
                what = "was replaced by another file" if one.exists() else "was removed"
                return Finding(Fault.LOG_GONE, f"{what} ({one.name})")
        return self._find_changes()

    def _find_changes(self) -> Finding | None:
        status = os.fstat(self._descriptors[0])
        before, self._size = self._size, status.st_size
        if status.st_size < before:
            return Finding(Fault.BROKEN, f"was cut from {before} to {status.st_size} bytes")
        index = os.pread(self._descriptors[1], INDEX, 0) if len(self._descriptors) > 1 else b""
        if len(index) == INDEX and (broken := self._find_in_log(index)):
            is_moving = os.pread(self._descriptors[1], INDEX, 0)[:48] != index[:48]  # another program writes
            return None if is_moving else Finding(Fault.BROKEN, f"is damaged: its log ({self._log.name}) {broken}")
        done = index[96:100] + index[128:132] + index[32:40]  # what SQLite has brought from the log into the file
        seen, self._seen = self._seen, (status.st_mtime_ns, done)
        if seen is not None and seen[0] != self._seen[0] and seen[1] == self._seen[1]:
            return Finding(Fault.CHANGED, "was written to by another program")
        return None

    def _find_in_log(self, index: bytes) -> str:
        """Return what is wrong with some of the log, the next part of it each time; "" where it is as it should be."""
        count = struct.unpack_from("=I", index, 16)[0]
        if not count:
            return ""
        with suppress(OSError), self._log.open("rb") as log:
            header = read_header(log.read(HEADER))
            if header is None or header.salt != index[32:40]:
                return "is damaged at its beginning"
            size = FRAME_HEADER + header.page_size
            if os.fstat(log.fileno()).st_size < HEADER + count * size:
                return "was cut short"
            begin = self._frame if self._frame < count else 0
            self._frame = begin + FRAMES
            log.seek(HEADER + begin * size - (FRAME_HEADER + header.page_size if begin else 0))
            before = header.sums
            if begin:
                before = struct.unpack_from(">2I", log.read(size), 16)
            for number in range(begin, min(begin + FRAMES, count)):
                frame = log.read(size)
                if frame[8:16] != header.salt or not is_intact(header, frame, before):
                    return f"is damaged in page {number + 1} of {count}"
                before = struct.unpack_from(">2I", frame, 16)
        return ""


def is_ours(file: Path) -> bool:
    """Whether this user may still read and write a file; of a disk that nobody may write, that is not its fault."""
    try:
        is_read_only = os.statvfs(file.parent).f_flag & os.ST_RDONLY
        return bool(is_read_only) or os.access(file, os.R_OK | os.W_OK, effective_ids=True)
    except OSError:
        return True


def _id(file: Path) -> _Id | None:
    """Return what a path leads to; None where nothing is there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return _Id(status.st_dev, status.st_ino)
