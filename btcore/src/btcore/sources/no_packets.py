# SPDX-License-Identifier: GPL-3.0-or-later
"""Warnings about a source that receives bytes but no packets: after a minute, then once an hour.

A source works if it has packets, not if it has bytes: a keep-alive now and then, or text on short connections, is no
more than silence. What the bytes are is recognized by `decode/recognition.py`. Meters that were heard and fall silent
are watched by `silence.py`.
"""

import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

from btcore.decode.recognition import SAMPLE, Kind, recognize
from btcore.sources.undecoded import UndecodedBytes, UndecodedStream, describe
from btcore.text import format_duration

FIRST_REPORT = 60.0
"""Seconds of bytes without a packet after which a warning is logged."""

SETTLE_TIME = 5.0
"""Seconds after the first byte of a stream before its bytes are recognized."""

MAX_SILENT_BYTES = 1 << 14
"""Bytes without a packet after which the warning is logged at once: 26 times the longest packet."""

MIN_LAPSE = 600.0
"""Least seconds of bytes without a packet before the warning, for a stream that had packets."""

GAPS = 10
"""Intervals between packets that are remembered, to know how long a source may be without one."""

SILENT = 120.0
"""Seconds after the start without any byte or reading, after which a warning is logged."""

HOUR = 3600.0

CONNECTIONS_BY_KIND = {"keep-alive": 10}
"""Connections with such bytes of a meter before a warning, where other packets come in; for other kinds:"""
MIN_CONNECTIONS = 3

MAX_LINES = 8
"""Lines an hour, at most, whatever comes."""

MAX_STREAMS_PER_CHECK = 64
"""Open streams that one check looks at."""

RECOGNITIONS_PER_SECOND = 50.0
"""Recognitions a second, on average."""

MAX_EXAMINED = 1000
"""Streams that are examined for packets of formats that the source does not take: each opens every decoder."""

PAGE = "docs/meters.md"


class PacketWatch:
    """Watches the bytes of one source. Times are seconds of a monotonic clock.

    `patience` is how long the source itself waits for a packet. `examine` returns a format that is in bytes
    and is not taken; it is called by `received` and `end`, in the source's thread. The others may be called by any.
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
        self._soon = min(patience, FIRST_REPORT) if patience > 0 else FIRST_REPORT
        self._clock = clock
        self._examine = examine if formats else None
        self._examined = 0
        self._lock = Lock()
        self._streams: OrderedDict[str, UndecodedStream] = (
            OrderedDict()
        )  # the one that brought something last is the last
        self._undecoded: dict[Kind, UndecodedBytes] = {}
        self._reported: dict[Kind, float] = {}
        self._has_packets = False
        self._last_packet: float | None = None
        self._gaps: deque[float] = deque([0.0], GAPS)
        self._began: float | None = None
        self._opened: float | None = None
        self._silence_reported = -math.inf
        self._last_kind: Kind | None = None
        self._credit, self._credited = RECOGNITIONS_PER_SECOND, clock()

    def open(self) -> None:
        """Record that the source is open."""
        with self._lock:
            self._opened = self._clock()

    def close(self) -> None:
        """Record that the source is closed: for a while, or for good."""
        with self._lock:
            self._opened = None

    def packet(self, stream: str = "") -> None:
        """Record that packets, or readings without packets, came in on a stream."""
        now = self._clock()
        with self._lock:
            if self._last_packet is not None:
                self._gaps.append(now - self._last_packet)
            self._last_packet = now
            self._has_packets = True
            stream_bytes = self._streams.get(stream)
            if stream_bytes is None:
                self._streams[stream] = UndecodedStream(has_packets=True)
            elif stream_bytes.since is not None or not stream_bytes.has_packets:
                self._streams[stream] = UndecodedStream(has_packets=True, looked=stream_bytes.looked)

    def received(self, stream: str, data: bytes, damaged: int = 0, not_taken: str = "") -> None:
        """Record bytes of a stream without a packet. The other parameters are as in `recognize`."""
        now = self._clock()
        with self._lock:
            if self._began is None:
                self._began = now
            stream_bytes = self._streams.get(stream)
            if stream_bytes is None:
                stream_bytes = self._streams[stream] = UndecodedStream()
            self._streams.move_to_end(stream)
            stream_bytes.add(data, now, damaged, not_taken)
        if len(stream_bytes.sample) == SAMPLE:
            self._examine_stream(stream_bytes)
        with self._lock:
            if stream_bytes.size >= MAX_SILENT_BYTES:
                self._check(now)

    def _examine_stream(self, stream_bytes: UndecodedStream) -> None:
        """Look for packets of formats that are not taken; once a stream, and for `MAX_EXAMINED` streams at most."""
        if self._examine and stream_bytes.sample and not stream_bytes.is_examined and self._examined < MAX_EXAMINED:
            stream_bytes.is_examined = True
            self._examined += 1
            stream_bytes.not_taken = self._examine(stream_bytes.sample) or stream_bytes.not_taken

    def end(self, stream: str) -> None:
        """Record that a stream has ended."""
        now = self._clock()
        with self._lock:
            stream_bytes = self._streams.pop(stream, None)
        if stream_bytes is not None and not stream_bytes.has_packets:
            self._examine_stream(stream_bytes)
        with self._lock:
            if stream_bytes is not None and stream_bytes.size and not stream_bytes.has_packets:
                self._recognized(stream, stream_bytes, now).ended += 1
                if sum(one.size for one in self._undecoded.values()) >= MAX_SILENT_BYTES:
                    self._check(now)

    def check(self) -> None:
        """Log the warnings that are due; called about every second."""
        with self._lock:
            self._check(self._clock())

    def finish(self, *, has_ended: bool = False) -> None:
        """Log the remaining warnings of a source that never had a packet. `has_ended`: it ended by itself."""
        with self._lock:
            if has_ended and self._began is None and not self._has_packets:
                self._log.warning("the source ended without any data: check whether its input is empty")
            if not self._has_packets:
                now = self._clock()
                for stream, stream_bytes in self._streams.items():
                    if stream_bytes.size:
                        self._recognized(stream, stream_bytes, now)
                self._report([one for one in self._undecoded.values() if one.kind not in self._reported], now)

    # --- what is due

    def _check(self, now: float) -> None:
        if self._has_packets:
            self._check_beside_packets(now)
        elif self._began is None:
            self._check_silence(now)
        elif now - self._began >= self._soon or self._total >= MAX_SILENT_BYTES:
            for stream, stream_bytes in self._recent():
                if stream_bytes.size and self._is_time(stream_bytes, now) and self._is_settled(stream_bytes, now):
                    self._recognized(stream, stream_bytes, now)
            self._report(list(self._undecoded.values()), now)

    @property
    def _total(self) -> int:
        return sum(one.size for one in self._streams.values()) + sum(one.size for one in self._undecoded.values())

    def _recent(self) -> list[tuple[str, UndecodedStream]]:
        return list(self._streams.items())[-MAX_STREAMS_PER_CHECK:]

    def _is_time(self, stream_bytes: UndecodedStream, now: float) -> bool:
        """Whether a stream has brought enough bytes, or for long enough, since the last check."""
        return stream_bytes.size >= MAX_SILENT_BYTES or now - stream_bytes.looked >= self._soon

    def _is_settled(self, stream_bytes: UndecodedStream, now: float) -> bool:
        """Whether there are enough bytes, or enough time has passed, to recognize them."""
        since = now if stream_bytes.since is None else stream_bytes.since
        return stream_bytes.size >= MAX_SILENT_BYTES or now - since >= min(self._soon, SETTLE_TIME)

    def _check_beside_packets(self, now: float) -> None:
        for stream, stream_bytes in self._recent():
            if stream_bytes.size and self._is_time(stream_bytes, now) and self._is_lasting(stream_bytes, now):
                self._recognized(stream, stream_bytes, now).is_due = True
        for one in list(self._undecoded.values()):
            often = one.kind.is_meter and one.ended >= CONNECTIONS_BY_KIND.get(one.kind.name, MIN_CONNECTIONS)
            if one.is_due or one.size >= MAX_SILENT_BYTES or (often and now - one.first >= FIRST_REPORT):
                self._report([one], now)
            elif now - one.first >= HOUR:
                del self._undecoded[one.kind]

    def _is_lasting(self, stream_bytes: UndecodedStream, now: float) -> bool:
        """Whether an open stream brings no packets for too long; some junk between two packets is allowed."""
        if stream_bytes.total >= MAX_SILENT_BYTES:
            return True
        limit = FIRST_REPORT
        if stream_bytes.has_packets:
            limit = max(MIN_LAPSE, 3 * max(self._gaps), self._patience + FIRST_REPORT)
        since = now if stream_bytes.since is None else stream_bytes.since
        return now - since >= limit and stream_bytes.last - since >= limit / 2

    def _check_silence(self, now: float) -> None:
        """Warn that no data came in at all. A source with `patience` of its own warns by itself, with more detail."""
        is_silent = self._opened is not None and now - self._opened >= SILENT
        if self._patience or not is_silent or now - self._silence_reported < HOUR:
            return
        self._silence_reported = now
        self._log.warning(
            "no data for %s: check that the meter is switched on, and that the source reads from the right place (%s)",
            format_duration(now - (self._opened or now)),
            PAGE,
        )

    # --- reporting

    def _recognized(self, stream: str, stream_bytes: UndecodedStream, now: float) -> UndecodedBytes:
        kind = self._kind(stream_bytes, now)
        one = self._undecoded.get(kind)
        if one is None:
            one = self._undecoded[kind] = UndecodedBytes(kind, now)
        one.size += stream_bytes.size
        one.streams += not stream_bytes.is_counted
        one.last = stream
        stream_bytes.is_counted = True
        stream_bytes.empty(now)
        return one

    def _kind(self, stream_bytes: UndecodedStream, now: float) -> Kind:
        """Recognize the bytes. In a flood of connections, some are not examined, and count as the last kind."""
        self._credit = min(self._credit + (now - self._credited) * RECOGNITIONS_PER_SECOND, RECOGNITIONS_PER_SECOND)
        self._credited = now
        if self._credit >= 1 or self._last_kind is None:
            self._credit -= 1
            self._last_kind = recognize(
                stream_bytes.sample, self._formats, unwanted=stream_bytes.not_taken, damaged=stream_bytes.damaged > 0
            )
        return self._last_kind

    def _report(self, undecoded: list[UndecodedBytes], now: float) -> None:
        """Log each kind once an hour, those of a meter first."""
        self._reported = {kind: then for kind, then in self._reported.items() if now - then < HOUR}
        for one in sorted(undecoded, key=lambda one: (not one.kind.is_meter, one.kind.is_silence, -one.size)):
            most = MAX_LINES if one.kind.is_meter else MAX_LINES // 2  # other senders leave lines for a meter
            if one.size and len(self._reported) < most and not self._is_known(one.kind):
                self._reported[one.kind] = now
                self._log.warning("%s: %s. %s (%s)", describe(one), one.kind.seen, one.kind.advice, PAGE)
                del self._undecoded[one.kind]

    def _is_known(self, kind: Kind) -> bool:
        """Whether it was logged within the hour; a silent meter is not reported where a meter sends other bytes."""
        speaks = any(one.is_meter and not one.is_silence for one in self._reported)
        return kind in self._reported or (kind.is_silence and speaks)
