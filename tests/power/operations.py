# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program did to the files of one directory, as `recorder.c` has written it down: bytes to values.

What a disk makes of them is in `disk.py`.
"""

from collections.abc import Iterator
from enum import Enum
from struct import Struct

import attrs

HEADER = Struct("=ciqI")
"""Of each: what was done, to which descriptor, a number, and how many bytes follow."""

CREATED = 1
EMPTIED = 2


class Kind(Enum):
    """What was done, by the letter that the recorder writes for it."""

    OPEN = b"O"
    CLOSE = b"C"
    WRITE = b"W"
    TRUNCATE = b"T"
    SYNC = b"F"
    RENAME = b"R"
    REMOVE = b"U"
    MARK = b"M"


@attrs.frozen
class Operation:
    """One call. `number` is an offset in the file, a length, or how a file was opened; `data` are bytes or names."""

    kind: Kind
    descriptor: int
    number: int
    data: bytes

    @property
    def name(self) -> str:
        """The name of the file below the directory; "" is the directory itself."""
        return self.data.decode().lstrip("/")

    @property
    def names(self) -> tuple[str, str]:
        """The old and the new name of a file."""
        old, new = self.data.decode().split("\0")
        return old.lstrip("/"), new.lstrip("/")


def operations_in(data: bytes) -> Iterator[Operation]:
    """Yield what was recorded, in order."""
    at = 0
    while at < len(data):
        kind, descriptor, number, length = HEADER.unpack_from(data, at)
        at += HEADER.size
        yield Operation(Kind(kind), descriptor, number, data[at : at + length])
        at += length
