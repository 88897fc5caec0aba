"""Bytes that a source brings in which there is no packet: told soon, once, then hourly, as what they are.

A source lives by its packets and not by its bytes: a keep-alive now and then, or text on connections that are closed
each time, is as dead as silence. What the bytes are is `decode/recognition.py`'s. What a meter that was heard owes by
its habit is not looked at here.
"""

import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

import attrs

from btcore.decode.recognition import SAMPLE, Kind, recognize
from btcore.text import format_duration, plural

SOON = 60.0
"""Seconds for which there may be bytes without a packet before it is told."""

SETTLED = 5.0
"""Seconds from the first byte on a stream, after which what came is judged."""

ENOUGH = 1 << 14
"""Bytes without a packet after which it is told at once: the longest packet 26 times over."""

LAPSED = 600.0
"""The least seconds of nothing but other bytes after which it is told of a stream that had packets."""

GAPS = 10
"""Times between packets by which it is known how long a source may be without one."""

SILENT = 120.0
"""Seconds without a single byte or reading, from the beginning on, after which it is told."""

HOUR = 3600.0

AGAIN = {"keep-alive": 10}
"""How often a meter's bytes come on connections of their own before it is told where other packets come; else:"""
OFTEN = 3

MOST_LINES = 8
"""Lines an hour, at most, whatever comes."""

MOST_LOOKS = 64
"""Open streams that are looked at in one turn."""

PER_SECOND = 50.0
"""Times a second that something is recognized, on the average."""

MOST_EXAMINED = 1000
"""Streams that are looked into for packets which are not taken: every decoder is opened for each."""

PAGE = "docs/meters.md"


@attrs.define(eq=False)
class Trace:
    """What came in on one stream since its last packet. `sample` and `size` begin anew when they were looked at."""

    has_packets: bool = False
    since: float | None = None
    last: float = 0.0
    total: int = 0
    size: int = 0
    sample: bytes = b""
    damaged: int = 0
    unwanted: str = ""
    looked: float = -math.inf
    is_counted: bool = False
    is_examined: bool = False

    def add(self, data: bytes, now: float, damaged: int, unwanted: str) -> None:
        """Take note of bytes without a packet."""
        self.since = now if self.since is None else self.since
        self.last = now
        self.total += len(data)
        self.size += len(data)
        self.damaged += damaged
        self.unwanted = unwanted or self.unwanted
        if len(self.sample) < SAMPLE:
            self.sample += data[: SAMPLE - len(self.sample)]

    def empty(self, now: float) -> None:
        """Begin anew with what is looked at next."""
        self.size, self.sample, self.damaged, self.looked = 0, b"", 0, now
        self.unwanted, self.is_examined = "", False


@attrs.define(eq=False)
class _Sighting:
    """What was seen of one kind and not told yet."""

    kind: Kind
    first: float
    size: int = 0
    streams: int = 0
    ended: int = 0
    last: str = ""
    is_due: bool = False


class Fruitless:
    """Watches the bytes of one source. Times are seconds of a clock that never goes back.

    `patience` is for how long the source itself would wait for a packet. `examine` returns a format that is in bytes
    and is not taken; it is called by `brought` and `end`, in the source's thread. The others may be called by any.
    """

    def __init__(
        self,
        log: logging.Logger,
        formats: tuple[str, ...] = (),
        patience: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        examine: Callable[[bytes], str] | None = None,
    ) -> None:
        """Begin with nothing heard."""
        self._log = log
        self._formats = formats
        self._patience = patience
        self._soon = min(patience, SOON) if patience > 0 else SOON
        self._clock = clock
        self._examine = examine if formats else None
        self._examined = 0
        self._lock = Lock()
        self._traces: OrderedDict[str, Trace] = OrderedDict()  # the one that brought something last is the last
        self._sightings: dict[Kind, _Sighting] = {}
        self._told: dict[Kind, float] = {}
        self._has_packets = False
        self._last_packet: float | None = None
        self._gaps: deque[float] = deque([0.0], GAPS)
        self._began: float | None = None
        self._opened: float | None = None
        self._silence_told = -math.inf
        self._kind_before: Kind | None = None
        self._credit, self._credited = PER_SECOND, clock()

    def open(self) -> None:
        """Take note that the source is open now, and may bring something."""
        with self._lock:
            self._opened = self._clock()

    def close(self) -> None:
        """Take note that it is closed: for a while, or for good."""
        with self._lock:
            self._opened = None

    def packet(self, stream: str = "") -> None:
        """Take note that packets, or whole readings, came in on a stream."""
        now = self._clock()
        with self._lock:
            if self._last_packet is not None:
                self._gaps.append(now - self._last_packet)
            self._last_packet = now
            self._has_packets = True
            trace = self._traces.get(stream)
            if trace is None:
                self._traces[stream] = Trace(has_packets=True)
            elif trace.since is not None or not trace.has_packets:
                self._traces[stream] = Trace(has_packets=True, looked=trace.looked)

    def brought(self, stream: str, data: bytes, damaged: int = 0, unwanted: str = "") -> None:
        """Take note of bytes of a stream that have brought no packet; as `recognize` says for the others."""
        now = self._clock()
        with self._lock:
            if self._began is None:
                self._began = now
            trace = self._traces.get(stream)
            if trace is None:
                trace = self._traces[stream] = Trace()
            self._traces.move_to_end(stream)
            trace.add(data, now, damaged, unwanted)
        if len(trace.sample) == SAMPLE:
            self._look_into(trace)
        with self._lock:
            if trace.size >= ENOUGH:
                self._look(now)

    def _look_into(self, trace: Trace) -> None:
        """Find out whether there are packets in it which are not taken; once a stream, and not of all too many."""
        if self._examine and trace.sample and not trace.is_examined and self._examined < MOST_EXAMINED:
            trace.is_examined = True
            self._examined += 1
            trace.unwanted = self._examine(trace.sample) or trace.unwanted

    def end(self, stream: str) -> None:
        """Take note that a stream is at its end."""
        now = self._clock()
        with self._lock:
            trace = self._traces.pop(stream, None)
        if trace is not None and not trace.has_packets:
            self._look_into(trace)
        with self._lock:
            if trace is not None and trace.size and not trace.has_packets:
                self._see(stream, trace, now).ended += 1
                if sum(one.size for one in self._sightings.values()) >= ENOUGH:
                    self._look(now)

    def look(self) -> None:
        """Tell what is to be told by now; to be called about every second."""
        with self._lock:
            self._look(self._clock())

    def finish(self, *, has_ended: bool = False) -> None:
        """Tell what was seen, if nothing was ever decoded: there will be no more, or the source itself `has_ended`."""
        with self._lock:
            if has_ended and self._began is None and not self._has_packets:
                self._log.warning("it ended, and nothing came in: is what it reads empty?")
            if not self._has_packets:
                now = self._clock()
                for stream, trace in self._traces.items():
                    if trace.size:
                        self._see(stream, trace, now)
                self._tell([one for one in self._sightings.values() if one.kind not in self._told], now)

    # --- what is due

    def _look(self, now: float) -> None:
        if self._has_packets:
            self._look_beside_packets(now)
        elif self._began is None:
            self._look_at_silence(now)
        elif now - self._began >= self._soon or self._total >= ENOUGH:
            for stream, trace in self._recent():
                if trace.size and self._is_time(trace, now) and self._is_settled(trace, now):
                    self._see(stream, trace, now)
            self._tell(list(self._sightings.values()), now)

    @property
    def _total(self) -> int:
        return sum(one.size for one in self._traces.values()) + sum(one.size for one in self._sightings.values())

    def _recent(self) -> list[tuple[str, Trace]]:
        return list(self._traces.items())[-MOST_LOOKS:]

    def _is_time(self, trace: Trace, now: float) -> bool:
        """Whether a stream has brought enough, or for long enough, since it was looked at."""
        return trace.size >= ENOUGH or now - trace.looked >= self._soon

    def _is_settled(self, trace: Trace, now: float) -> bool:
        """Whether what came is more than the beginning of something."""
        since = now if trace.since is None else trace.since
        return trace.size >= ENOUGH or now - since >= min(self._soon, SETTLED)

    def _look_beside_packets(self, now: float) -> None:
        for stream, trace in self._recent():
            if trace.size and self._is_time(trace, now) and self._is_lasting(trace, now):
                self._see(stream, trace, now).is_due = True
        for one in list(self._sightings.values()):
            often = one.kind.is_meter and one.ended >= AGAIN.get(one.kind.name, OFTEN)
            if one.is_due or one.size >= ENOUGH or (often and now - one.first >= SOON):
                self._tell([one], now)
            elif now - one.first >= HOUR:
                del self._sightings[one.kind]

    def _is_lasting(self, trace: Trace, now: float) -> bool:
        """Whether an open stream brings nothing else; one that had packets may do so between two of them."""
        if trace.total >= ENOUGH:
            return True
        limit = SOON
        if trace.has_packets:
            limit = max(LAPSED, 3 * max(self._gaps), self._patience + SOON)
        since = now if trace.since is None else trace.since
        return now - since >= limit and trace.last - since >= limit / 2

    def _look_at_silence(self, now: float) -> None:
        """Tell that nothing has come in at all; a source that has patience tells that by itself, and better."""
        is_silent = self._opened is not None and now - self._opened >= SILENT
        if self._patience or not is_silent or now - self._silence_told < HOUR:
            return
        self._silence_told = now
        self._log.warning(
            "nothing has come in for %s: is what it reads from switched on, and is this the right place to look? (%s)",
            format_duration(now - (self._opened or now)),
            PAGE,
        )

    # --- telling

    def _see(self, stream: str, trace: Trace, now: float) -> _Sighting:
        kind = self._kind(trace, now)
        one = self._sightings.get(kind)
        if one is None:
            one = self._sightings[kind] = _Sighting(kind, now)
        one.size += trace.size
        one.streams += not trace.is_counted
        one.last = stream
        trace.is_counted = True
        trace.empty(now)
        return one

    def _kind(self, trace: Trace, now: float) -> Kind:
        """Recognize what came. In a flood of connections, what is not looked at is taken for what was seen last."""
        self._credit = min(self._credit + (now - self._credited) * PER_SECOND, PER_SECOND)
        self._credited = now
        if self._credit >= 1 or self._kind_before is None:
            self._credit -= 1
            self._kind_before = recognize(
                trace.sample, self._formats, unwanted=trace.unwanted, damaged=trace.damaged > 0
            )
        return self._kind_before

    def _tell(self, sightings: list[_Sighting], now: float) -> None:
        """Tell of each kind once an hour; those of a meter first."""
        self._told = {kind: then for kind, then in self._told.items() if now - then < HOUR}
        for one in sorted(sightings, key=lambda one: (not one.kind.is_meter, one.kind.is_silence, -one.size)):
            most = MOST_LINES if one.kind.is_meter else MOST_LINES // 2  # who passes by leaves room for a meter
            if one.size and len(self._told) < most and not self._is_known(one.kind):
                self._told[one.kind] = now
                self._log.warning("%s: %s. %s (%s)", _what(one), one.kind.seen, one.kind.advice, PAGE)
                del self._sightings[one.kind]

    def _is_known(self, kind: Kind) -> bool:
        """Whether it was told within the hour; of a meter's silence there is nothing to tell where it speaks, too."""
        speaks = any(one.is_meter and not one.is_silence for one in self._told)
        return kind in self._told or (kind.is_silence and speaks)


def _what(one: _Sighting) -> str:
    where = one.last or "this line"
    if one.streams > 1:
        where = f"{one.streams} connections, the last of them {where}"
    return f"{plural(one.size, 'byte')} without a packet on {where}"
