# SPDX-License-Identifier: GPL-3.0-or-later
"""The last bytes of a source in which no packet was found: for `btcore doctor`, which asks the running program.

Whether they are worth a warning in the log is decided in `no_packets.py`.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from threading import Lock

from btcore.classes import define, evolve
from btcore.decode.recognition import SAMPLE

MAX_STREAMS = 64
"""Open streams whose bytes are kept: those that brought something last."""

MAX_ENDED = 8
"""Ended streams without a packet whose bytes are kept."""

MAX_AGE = 3600.0
"""Seconds for which the bytes of an ended stream are kept."""

SETTLE_TIME = 3.0
"""Seconds after which the bytes of a stream that never had a packet are no mere beginning of one."""

LAPSE = 600.0
"""The same for a stream that had packets: a keep-alive between two packets is nothing."""


@define(eq=False)
class Undecoded:
    """The beginning of what a stream brought since its last packet. Times are seconds of a monotonic clock."""

    stream: str
    data: bytes = b""
    damaged: int = 0
    not_taken: str = ""
    since: float = 0.0
    has_packets: bool = False


class RecentBytes:
    """Keeps the beginning of what each stream brought without a packet. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self._clock = clock
        self._lock = Lock()
        self._streams: OrderedDict[str, Undecoded] = OrderedDict()
        self._ended: deque[Undecoded] = deque(maxlen=MAX_ENDED)

    def packet(self, stream: str) -> None:
        """Record that packets came in on a stream: what came before is of no interest."""
        with self._lock:
            one = self._streams.get(stream)
            if one is None or one.data or not one.has_packets:  # nearly always there is nothing to forget
                one = Undecoded(stream, has_packets=True)
            self._put(stream, one)

    def received(self, stream: str, data: bytes, damaged: int = 0, not_taken: str = "") -> None:
        """Record bytes without a packet; `damaged` packets were in them, or one of a format that is not taken."""
        with self._lock:
            one = self._streams.get(stream) or Undecoded(stream)
            one.since = one.since if one.data else self._clock()
            one.data += data[: SAMPLE - len(one.data)]
            one.damaged += damaged
            one.not_taken = not_taken or one.not_taken
            self._put(stream, one)

    def end(self, stream: str) -> None:
        """Record that a stream has ended."""
        with self._lock:
            one = self._streams.pop(stream, None)
            if one is not None and one.data and not one.has_packets:
                self._ended.append(one)

    def undecoded(self, settle: float = SETTLE_TIME) -> list[Undecoded]:
        """Return what came in for longer than `settle` seconds without a packet, a copy."""
        now = self._clock()
        with self._lock:
            return [evolve(one) for one in self._lasting(now, settle)]

    def _lasting(self, now: float, settle: float) -> Iterator[Undecoded]:
        yield from (one for one in self._ended if now - one.since < MAX_AGE)
        for one in self._streams.values():
            if one.data and now - one.since >= (LAPSE if one.has_packets else settle):
                yield one

    def _put(self, stream: str, one: Undecoded) -> None:
        self._streams[stream] = one
        self._streams.move_to_end(stream)
        if len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
