"""The records that travel the road of the data, from bytes to batches.

    bytes: Chunk -> decode_packet: Packet, More, Damaged -> Reading -> Sample -> Batch

Each is a value: made once, never changed. What decides or computes is elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

import attrs

from btcore.formats import Channel, Format, Number


@attrs.frozen
class Chunk:
    """Bytes as they came in, of one stream: a serial line, a TCP connection, a file.

    Streams never mix: each has a framing buffer of its own, which `end=True` closes. `time` is when the bytes came in
    (aware); None means now. A recording that tells no times has a `clock` instead, which is asked once for each packet.
    """

    data: bytes
    stream: str = ""
    time: datetime | None = None
    end: bool = False
    clock: Iterator[datetime] | None = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen
class Packet:
    """A whole packet at the start of a stream's buffer: how long it is, and what was read from it.

    `serial` is the meter's serial number as text, as its owner knows it. `raw` is what the journal keeps:
    `decode_packet` must make the same packet of it again.
    """

    size: int
    format: Format
    serial: str
    raw: bytes


@attrs.frozen
class More:
    """`decode_packet` answers: this is the start of one of mine, but it is not complete yet."""


@attrs.frozen
class Damaged:
    """`decode_packet` answers: this looks like one of mine, but it is not whole. Skipped and counted."""

    why: str = ""


@attrs.define(eq=False)
class Reading:
    """One meter at one moment.

    `time` is when it was received (aware, UTC, to the microsecond); with `serial` it identifies the reading: the
    journal gives no two readings the same time. `seconds` is the meter's own seconds counter, the only clock that
    intervals are measured by. Numbers are unpacked on first use.

    `steady` is when it was received by a clock that nobody sets, in microseconds, and `boot` names that clock: two
    readings of the same `boot` tell how much time really passed between them, whatever was done to `time`. Both are 0
    for what was not received live.
    """

    time: datetime
    format: Format
    serial: str
    raw: bytes = attrs.field(repr=False)
    source: str = ""
    seq: int = 0
    steady: int = 0
    boot: int = 0
    _numbers: tuple[Number, ...] | None = attrs.field(default=None, repr=False, alias="numbers")

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The measured numbers, in the order of `format.labels`."""
        if self._numbers is None:
            self._numbers = tuple(self.format.unpack(self.raw))
        return self._numbers

    @property
    def values(self) -> dict[str, Number]:
        """The measured numbers by label: `volts` in V, `ch1_aws` and `ch1_pws` in Ws, `ch1_a` in A, `t1` in degrees."""
        return dict(zip(self.format.labels, self.numbers, strict=True))

    @property
    def seconds(self) -> int:
        """The meter's seconds counter."""
        return int(self.get("secs") or 0)

    @property
    def timestamp(self) -> float:
        """`time` as seconds since 1970."""
        return self.time.timestamp()

    @property
    def key(self) -> int:
        """`time` as whole microseconds since 1970: an integer that no other reading of the journal has."""
        return microseconds(self.time)

    def get(self, label: str) -> Number:
        """One number by label; None where this format has no such label, or the meter no such value."""
        place = self.format.index.get(label)
        return None if place is None else self.numbers[place]


@attrs.define(eq=False)
class Sample:
    """What one meter measured between two of its readings.

    `seconds` is the length of the interval by the meter's own counter; None where that is not known (the meter
    restarted within it). `values` holds what was calculated, by label: for each channel `ch1_w`, `ch1_pw`, `ch1_nw` in
    W, mean over the interval; `ch1_wh`, `ch1_pwh`, `ch1_nwh` in Wh, the meter's cumulative counters; `ch1_dwh` in Wh,
    the energy of the interval. A value that is not known is None. Calculated on first use, shared by all sinks.
    """

    older: Reading
    newer: Reading
    seconds: int | None
    reset: bool
    _calculate: Callable[[], dict[str, Number]] = attrs.field(repr=False, alias="calculate")
    _values: Mapping[str, Number] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def serial(self) -> str:
        """The meter's serial number."""
        return self.newer.serial

    @property
    def format(self) -> Format:
        """The packet format of the newer reading."""
        return self.newer.format

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of the meter."""
        return self.newer.format.channels

    @property
    def start(self) -> datetime:
        """When the interval began: the time of the older reading."""
        return self.older.time

    @property
    def end(self) -> datetime:
        """When the interval ended: the time of the newer reading."""
        return self.newer.time

    @property
    def values(self) -> Mapping[str, Number]:
        """The calculated values, by label."""
        if self._values is None:
            self._values = MappingProxyType(self._calculate())
        return self._values

    def get(self, label: str) -> Number:
        """One value by label, calculated (`ch1_w`) or measured at the end of the interval (`volts`); None: unknown."""
        value = self.values.get(label)
        return self.newer.get(label) if value is None and label not in self.values else value


@attrs.frozen(eq=False)
class Batch:
    """What one call of `process_batch` delivers, in the order of the journal, oldest first.

    `readings` are for sinks that store counters, `samples` for those that want power and energy. The first reading of a
    meter has no sample; with `every = "5m"` there is one sample a meter and interval, and the reading that ended it.
    Either may be empty: then there is nothing of that kind to deliver.
    """

    readings: tuple[Reading, ...] = ()
    samples: tuple[Sample, ...] = ()


def microseconds(time: datetime) -> int:
    """Whole microseconds since 1970 of an aware time, exactly."""
    days = time.toordinal() - _EPOCH_DAY
    offset = time.utcoffset()
    seconds = days * 86_400 + time.hour * 3_600 + time.minute * 60 + time.second
    if offset:
        seconds -= offset.days * 86_400 + offset.seconds
    return seconds * 1_000_000 + time.microsecond


_EPOCH_DAY = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a day's number has no zone
