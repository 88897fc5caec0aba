# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that travel the road of the data, from bytes to batches.

    bytes: Chunk -> decode_packet: Packet, Incomplete, Damaged -> Reading -> Sample -> Batch

Each is a value: made once, never changed. What decides or computes is elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Self

from btcore.calculated import Calculated
from btcore.classes import Weak, field, fillable, frozen
from btcore.formats import MAX_NAME, Channel, Format, Number, check_name, describe_type
from btcore.origin import LIVE, check_origin

MAX_STREAM_NAME = 200
"""The most characters of a stream's name, which is kept in memory while the stream is open."""


def aware(time: datetime, what: str) -> datetime:
    """Return a time in UTC. Raises ValueError for a time without a zone: which zone is meant would be a guess."""
    if not isinstance(time, datetime):
        raise TypeError(f"{what}: expected a datetime, found {describe_type(time)}")
    if time.tzinfo is UTC:
        return time
    if time.utcoffset() is None:
        raise ValueError(f"{what}: expected a time with its zone, such as datetime.now(UTC); {time} has none")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{what}: {time} is outside the range of dates in UTC") from None


def _bytes(data: bytes | bytearray | memoryview) -> bytes:
    if type(data) is bytes:
        return data
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a chunk's data: expected bytes, found {describe_type(data)}")
    return bytes(data)


@frozen
class Chunk:
    """Bytes as they came in, of one stream: a serial line, a TCP connection, a file.

    Streams never mix: each has a framing buffer of its own, which `end=True` closes. `address` is the part of the
    stream's name that stays the same when the stream is opened again: the network address without the port, or the name
    in a recording; "" if there is none. `time` is when the bytes came in (aware); None means now. A recording without
    times has a `clock` instead: an iterator that gives one time for each packet.

    Raises TypeError or ValueError for data that is not bytes, for a time without a zone, and for a stream's name or
    address that is not text or is too long.
    """

    data: bytes = field(converter=_bytes)
    stream: str = ""
    time: datetime | None = None
    end: bool = False
    clock: Iterator[datetime] | None = field(default=None, repr=False, eq=False)
    address: str = field(default="", eq=False)

    def __attrs_post_init__(self) -> None:
        """Check it."""
        for name, text in (("stream", self.stream), ("address", self.address)):
            if not isinstance(text, str):
                raise TypeError(f"a chunk's {name}: expected text, found {describe_type(text)}")
            if len(text) > MAX_STREAM_NAME:
                raise ValueError(f"a chunk's {name}: more than {MAX_STREAM_NAME} characters, {len(text)}")
        if self.time is not None:
            object.__setattr__(self, "time", aware(self.time, "a chunk's time"))
        if self.clock is not None and not isinstance(self.clock, Iterator):
            raise TypeError(f"a chunk's clock: expected an iterator of times, found {describe_type(self.clock)}")


MAX_CHECKPOINT = 100_000
"""The most characters of a source's checkpoint."""


@frozen
class SourceCheckpoint:
    """How far a source has come, as its own text; for a source that reads a store of its own, such as a database.

    The core keeps it once all readings that were yielded before it are in the journal. `Context.checkpoint` is the last
    one when the source is opened again, also after a restart. So what was yielded after it is yielded again: a reading
    that is in the journal already is not kept twice. Raises TypeError or ValueError for what is no text, or too long.
    """

    state: str

    def __attrs_post_init__(self) -> None:
        """Check it."""
        if not isinstance(self.state, str):
            raise TypeError(f"a source's checkpoint: expected text, found {describe_type(self.state)}")
        if len(self.state) > MAX_CHECKPOINT:
            raise ValueError(f"a source's checkpoint: more than {MAX_CHECKPOINT} characters, {len(self.state)}")


@frozen
class Packet(Weak):
    """A complete packet at the start of a stream's buffer: its length, and what was read from it.

    `serial` is the meter's serial number as text, as its owner knows it. `raw` is what the journal keeps:
    `decode_packet` must make the same packet of it again.

    The core checks the packet when it takes it. One that is not valid is skipped as a damaged packet of `size` bytes.
    """

    size: int
    format: Format
    serial: str
    raw: bytes
    _numbers: tuple[Number, ...] | None = field(default=None, eq=False, repr=False, alias="numbers")

    @property
    def numbers(self) -> tuple[Number, ...] | None:
        """The unpacked numbers, set by the core once it has checked them; a decoder leaves them out.

        Those of the core's own formats need no check, and are unpacked on first use: not all packets are looked into.
        """
        if self._numbers is None and self.format.is_certain:
            object.__setattr__(self, "_numbers", self.format.numbers(self.raw))
        return self._numbers


_FILLABLE_PACKET = fillable(Packet)


def found_packet(size: int, format: Format, serial: str, raw: bytes) -> Packet:
    """Make the packet of a frame that was checked: 0.25 µs, as against 0.45."""
    it = _FILLABLE_PACKET()
    it.size = size
    it.format = format
    it.serial = serial
    it.raw = raw
    it._numbers = None  # noqa: SLF001 - its own
    it.__class__ = Packet
    return it  # type: ignore[no-any-return] # now it is one


@frozen
class Incomplete:
    """Answer of `decode_packet`: the buffer starts with one of this decoder's packets, which is not complete yet.

    `size` is how many bytes it has at least: the decoder is not asked again before they have come in. 0: not known.
    """

    size: int = 0


@frozen
class Damaged:
    """Answer of `decode_packet`: this looks like one of this decoder's packets, but is damaged. Skipped and counted.

    `size` is how many bytes are known to belong to it (a line of text, for instance): all of them are skipped. By
    default one byte is skipped, as an intact packet may begin within a damaged one.
    """

    why: str = ""
    size: int = 1


@frozen
class Unwanted:
    """A packet of a format that the source does not take: all its bytes are junk. `format` is the format's name."""

    size: int
    format: str = ""


@frozen
class Piece:
    """A part of a stream: the bytes of one packet, or those between two (answers, a keep-alive, junk)."""

    data: bytes
    packet: Packet | None = field(default=None, repr=False)


@frozen(eq=False)
class Reading(Weak):
    """One meter at one moment. It never changes.

    `time` is when the packet was received (aware, UTC, to the microsecond); with `serial` it identifies the reading: no
    two readings of one meter have the same time. `seconds` is the meter's own seconds counter; where the meter sends
    one, intervals are measured by nothing else. `numbers` that are not given are unpacked from `raw` on first use.

    `source` is the name of the source. `address` says which way the reading came within that source, such as the
    meter's network address; "" if there is only one.

    `monotonic` is when the packet was received, in microseconds, by a clock that nobody sets, and `boot` identifies
    that clock: two readings of the same `boot` tell how much time really passed between them, even if the time of day
    was set meanwhile. Both are 0 for a reading that was not received live.

    `origin` is "" for a reading that a meter sent, "recorded" for one of a recording, "simulated" if there is no meter.

    Raises TypeError or ValueError for a time without a zone, a serial number that cannot be printed, an unknown origin,
    and numbers that do not fit the format (see `Format.checked`).
    """

    time: datetime
    format: Format
    serial: str
    raw: bytes = field(repr=False)
    source: str = ""
    offset: int = 0
    monotonic: int = 0
    boot: int = 0
    address: str = ""
    origin: str = ""
    _numbers: tuple[Number, ...] | None = field(default=None, repr=False, alias="numbers")
    _key: int | None = field(default=None, init=False, repr=False)
    _continued: int = field(default=0, init=False, repr=False)
    """The offset of the reading that it is known to continue: what one sink has found out, the others need not."""
    _taken: int = field(default=0, init=False, repr=False)
    """The number that its source has given it; 0 where it did not come in during this run."""
    _continued_taken: int = field(default=0, init=False, repr=False)
    """The number of the reading that it is known to continue: what the source has found out, no sink needs to."""

    def __new__(  # noqa: PLR0913, PLR0917 - a record's fields
        cls,
        time: datetime,
        format: Format,
        serial: str,
        raw: bytes,
        source: str = "",
        offset: int = 0,
        monotonic: int = 0,
        boot: int = 0,
        address: str = "",
        origin: str = "",
        numbers: tuple[Number, ...] | None = None,
    ) -> Self:
        """Check what is given, and keep it."""
        if type(time) is not datetime or time.tzinfo is not UTC:
            time = aware(time, "a reading's time")
        if not isinstance(format, Format):
            raise TypeError(f"a reading's format: expected a Format, found {describe_type(format)}")
        # short and plain is what nearly all are
        if type(serial) is not str or not serial.isalnum() or len(serial) > MAX_NAME:
            check_name(serial, "a serial number")
        if type(raw) is not bytes:
            raise TypeError(f"a reading's raw: expected bytes, found {describe_type(raw)}")
        if origin != LIVE:
            check_origin(origin)
        if numbers is not None:
            numbers = format.checked(numbers)
        it = _FILLABLE_READING()
        return _fill(  # type: ignore[return-value] # no class is made of it
            it, time, format, serial, raw, source, offset, monotonic, boot, address, origin, numbers, None
        )

    def __getnewargs__(self) -> tuple[object, ...]:
        """Return what a copy is made with, before it is given the rest."""
        return self.time, self.format, self.serial, self.raw

    @property
    def numbers(self) -> tuple[Number, ...]:
        """The measured numbers, in the order of `format.labels`."""
        numbers = self._numbers
        if numbers is None:
            numbers = self.format.numbers(self.raw)
            _SET_NUMBERS(self, numbers)
        return numbers

    @property
    def values(self) -> dict[str, Number]:
        """The measured numbers by label: `volts` in V, `ch1_aws` and `ch1_pws` in Ws, `ch1_a` in A, `t1` in degrees."""
        numbers, form = self._numbers, self.format
        make = form._by_label or form.by_label  # noqa: SLF001 - without a call in between, once there is one
        return make(self.numbers if numbers is None else numbers)

    @property
    def seconds(self) -> int:
        """The meter's seconds counter; 0 where it sends none."""
        index = self.format._seconds  # noqa: SLF001 - it is asked for several times in each packet
        if index < 0:
            return 0
        numbers = self._numbers
        return int((self.numbers if numbers is None else numbers)[index] or 0)

    @property
    def timestamp(self) -> float:
        """`time` as seconds since 1970."""
        return self.time.timestamp()

    @property
    def key(self) -> int:
        """`time` in microseconds since 1970, an integer: with the serial number it identifies a reading."""
        if self._key is None:
            object.__setattr__(self, "_key", to_microseconds(self.time))
        return self._key or 0

    def get(self, label: str) -> Number:
        """Return one number by label; None if the format has no such label, or the meter no such value."""
        index = self.format.index.get(label)
        return None if index is None else self.numbers[index]


_FILLABLE_READING = fillable(Reading)
_SET_NUMBERS = vars(Reading)["_numbers"].__set__  # half of the time that `object.__setattr__` takes
_SET_CONTINUED = vars(Reading)["_continued"].__set__


def _fill(  # noqa: PLR0913, PLR0917 - a record's fields
    it: Any,  # noqa: ANN401 - a reading that is being made
    time: datetime,
    format: Format,
    serial: str,
    raw: bytes,
    source: str,
    offset: int,
    monotonic: int,
    boot: int,
    address: str,
    origin: str,
    numbers: tuple[Number, ...] | None,
    key: int | None,
    taken: int = 0,
    continued_taken: int = 0,
) -> Reading:
    """Fill an instance of the fillable class, and make it a reading."""
    it.time = time
    it.format = format
    it.serial = serial
    it.raw = raw
    it.source = source
    it.offset = offset
    it.monotonic = monotonic
    it.boot = boot
    it.address = address
    it.origin = origin
    it._numbers = numbers  # noqa: SLF001 - its own, as the next four
    it._key = key  # noqa: SLF001
    it._continued = 0  # noqa: SLF001
    it._taken = taken  # noqa: SLF001
    it._continued_taken = continued_taken  # noqa: SLF001
    it.__class__ = Reading
    return it  # type: ignore[no-any-return] # now it is one


def trusted_reading(numbers: tuple[Number, ...] | None, *given: Any) -> Reading:  # noqa: ANN401 - a reading's types
    """Make a reading whose numbers were checked before, as they are; `given` is all else, in a reading's order.

    Checking the numbers of a GEM takes 5 µs.
    """
    reading = Reading(*given)
    object.__setattr__(reading, "_numbers", numbers)
    return reading


def is_known_to_continue(newer: Reading, older: Reading) -> bool:
    """Whether `note_continued` was called for a reading and the older one, or for both as their source has them."""
    return newer._continued == older.offset != 0 or newer._continued_taken == older._taken != 0  # noqa: SLF001 - it is for no plugin


def note_continued(newer: Reading, older: Reading) -> None:
    """Note, for all who read the same journal, that the meter continued from an older reading."""
    _SET_CONTINUED(newer, older.offset)


def kept_reading(taken: Reading, serial: str, offset: int, origin: str) -> Reading:
    """Return the reading that the journal has kept of one that its source has made: all else is the same in both.

    What its source has found out is noted there. The offset of `taken` is a number of this run, and none of the
    journal.
    """
    if not serial.isalnum() or len(serial) > MAX_NAME:
        check_name(serial, "a serial number")
    it = taken
    way = (it.source, offset, it.monotonic, it.boot, it.address, origin, it.numbers, it.key, it.offset, it._continued)  # noqa: SLF001 - as above
    return _fill(_FILLABLE_READING(), it.time, it.format, serial, it.raw, *way)


def reading_of(
    packet: Packet,
    time: datetime,
    serial: str,
    source: str = "",
    offset: int = 0,
    monotonic: int = 0,
    boot: int = 0,
    address: str = "",
    key: int | None = None,
) -> Reading:
    """Make the reading of a packet that the core has checked; `key` is that of its time, where it is known."""
    if type(time) is not datetime or time.tzinfo is not UTC:
        time = aware(time, "a reading's time")
    if not serial.isalnum() or len(serial) > MAX_NAME:
        check_name(serial, "a serial number")
    way = (source, offset, monotonic, boot, address, LIVE, packet.numbers, key)
    return _fill(_FILLABLE_READING(), time, packet.format, serial, packet.raw, *way)


def renamed_reading(reading: Reading, serial: str, source: str, offset: int) -> Reading:
    """Return a reading under another serial number, source and offset."""
    more = (reading.monotonic, reading.boot, reading.address, reading.origin)
    return trusted_reading(reading.numbers, reading.time, reading.format, serial, reading.raw, source, offset, *more)


@frozen(eq=False)
class Sample(Weak):
    """What one meter measured between two of its readings. It never changes.

    `seconds` is the length of the interval by the meter's own counter, or, where the meter sends none, by the times of
    arrival; None if it is not known, because the meter restarted within the interval. `reset` says that its counters
    restarted too. `values` are the calculated values by label: for each channel `ch1_w`, `ch1_pw`, `ch1_nw` in W, the
    mean over the interval; `ch1_wh`, `ch1_pwh`, `ch1_nwh` in Wh, the meter's cumulative counters; `ch1_dwh` in Wh, the
    energy of the interval. A value that is not known is None. Values are calculated on first use, once for all sinks.
    """

    older: Reading
    newer: Reading
    seconds: float | None
    reset: bool
    _calculate: Callable[[], Mapping[str, Number]] = field(repr=False, alias="calculate")
    _found: Mapping[str, Number] | None = field(default=None, init=False, repr=False)
    _values: Mapping[str, Number] | None = field(default=None, init=False, repr=False)

    def __new__(
        cls,
        older: Reading,
        newer: Reading,
        seconds: float | None,
        reset: bool,
        calculate: Callable[[], Mapping[str, Number]],
    ) -> Self:
        """Keep what is given."""
        it = _FILLABLE_SAMPLE()
        it.older = older
        it.newer = newer
        it.seconds = seconds
        it.reset = reset
        it._calculate = calculate  # noqa: SLF001 - its own, as the next one
        it._found = it._values = None  # noqa: SLF001
        it.__class__ = cls
        return it  # type: ignore[no-any-return] # now it is one

    def __getnewargs__(self) -> tuple[object, ...]:
        """Return what a copy is made with."""
        return self.older, self.newer, self.seconds, self.reset, self._calculate

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
        if self._values is not None:
            return self._values
        found = calculated_of(self)
        values = MappingProxyType(found.copy() if isinstance(found, Calculated) else found)
        object.__setattr__(self, "_values", values)
        return values

    def get(self, label: str) -> Number:
        """Return a value by label: calculated (`ch1_w`), or measured at the end of the interval (`volts`), or None."""
        found = self._found
        if found is None:
            found = calculated_of(self)
        if isinstance(found, Calculated):  # 0.1 µs instead of 0.3
            index = found.index.get(label)
            return self.newer.get(label) if index is None else found.numbers[index]
        return found[label] if label in found else self.newer.get(label)


_FILLABLE_SAMPLE = fillable(Sample)
_SET_FOUND = vars(Sample)["_found"].__set__


def calculated_of(sample: Sample) -> Mapping[str, Number]:
    """Return the values of a sample for the core's own rooms: as they were calculated, not put into a dict."""
    found = sample._found  # noqa: SLF001 - it is for no plugin
    if found is None:
        found = sample._calculate()  # noqa: SLF001
        _SET_FOUND(sample, found)
    return found


@frozen(eq=False)
class Batch:
    """What one call of `process_batch` delivers, in the order of the journal, oldest first.

    `readings` are for sinks that store counters, `samples` for those that want power and energy. The first reading of a
    meter has no sample. With `interval = "5m"` there is one sample for each meter and interval, and the reading that
    ends it. Either tuple may be empty.
    """

    readings: tuple[Reading, ...] = ()
    samples: tuple[Sample, ...] = ()

    @property
    def sampled(self) -> int:
        """How many readings have a sample: what `process_batch` returns when it has sent all samples."""
        newer = {sample.newer.offset for sample in self.samples}
        return sum(reading.offset in newer for reading in self.readings)


def to_microseconds(time: datetime) -> int:
    """Return an aware time as microseconds since 1970, exactly."""
    passed = time - EPOCH  # 0.3 µs; field by field it takes 2
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def from_microseconds(microseconds: int) -> datetime:
    """Return the time in UTC that is so many microseconds after the beginning of 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
