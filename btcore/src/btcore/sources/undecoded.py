# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes without a packet: those of one stream since its last packet, and those of one kind that are not reported yet.

When they are reported is decided in `no_packets.py`; what they are, in `decode/recognition.py`.
"""

import math

from btcore.classes import define
from btcore.decode.recognition import SAMPLE, Kind
from btcore.text import plural


@define(eq=False)
class UndecodedStream:
    """The bytes of one stream since its last packet. `sample` and `size` restart at each check."""

    has_packets: bool = False
    since: float | None = None
    last: float = 0.0
    total: int = 0
    size: int = 0
    sample: bytes = b""
    damaged: int = 0
    not_taken: str = ""
    looked: float = -math.inf
    is_counted: bool = False
    is_examined: bool = False

    def add(self, data: bytes, now: float, damaged: int, not_taken: str) -> None:
        """Record bytes without a packet."""
        self.since = now if self.since is None else self.since
        self.last = now
        self.total += len(data)
        self.size += len(data)
        self.damaged += damaged
        self.not_taken = not_taken or self.not_taken
        if len(self.sample) < SAMPLE:
            self.sample += data[: SAMPLE - len(self.sample)]

    def empty(self, now: float) -> None:
        """Restart what the next check looks at."""
        self.size, self.sample, self.damaged, self.looked = 0, b"", 0, now
        self.not_taken, self.is_examined = "", False


@define(eq=False)
class UndecodedBytes:
    """The bytes of one kind that are not reported yet."""

    kind: Kind
    first: float
    size: int = 0
    streams: int = 0
    ended: int = 0
    last: str = ""
    is_due: bool = False


def describe(one: UndecodedBytes) -> str:
    """Describe how many bytes came, and on which streams."""
    where = one.last or "this line"
    if one.streams > 1:
        where = f"{one.streams} connections, the last of them {where}"
    return f"{plural(one.size, 'byte')} without a packet on {where}"
