# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines: what a batch is as JSON or CSV, and how a line that was written before is recognised. Pure."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from btcore import Batch, ChannelRef, Measurement, Number, Polarity, Reading, Sample, measurements

Content = Literal["samples", "readings"]
Form = Literal["json", "csv"]

DIGITS = 6
"""Digits behind the point: of Wh, a few mWs."""

COLUMNS = (
    *("time", "key", "meter", "channel", "name", "seconds"),
    *("watts", "volts", "amps", "wh_delta", "wh_import", "wh_export", "value"),
)
"""The columns of CSV, a row for each channel and sensor."""

CIRCUIT = ("watts", "amps", "wh_delta", "wh_import", "wh_export")
"""What JSON has of each channel."""

_FIELD = rb'(?:"(?:[^"]|"")*"|[^",\n]*)'
_JSON = re.compile(rb'(\{"meter":"(?:[^"\\\n]|\\.)*","key":\d+),')
_CSV = re.compile(rb"([^,\n]*,\d+,%b),(%b)," % (_FIELD, _FIELD))
_CONTROLS = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
"""What would end a line, or steer a terminal."""


@attrs.frozen
class Row:
    """One line, with its line break. `record` identifies its record, `part` it among the lines of that."""

    record: bytes
    part: bytes
    line: bytes


@attrs.frozen
class Record:
    """One sample, or one reading, as lines. `reading` is what identifies it in the journal."""

    reading: Reading
    rows: tuple[Row, ...]

    @property
    def time(self) -> datetime:
        """When its interval ended, or it was received."""
        return self.reading.time


@attrs.frozen
class Layout:
    """How a line looks: its header, if there is one, and how a line that is there is recognised."""

    suffix: str
    header: bytes
    pattern: re.Pattern[bytes]

    def identify(self, line: bytes) -> tuple[bytes, bytes] | None:
        """Return record and part of a line that was written before; None for any other line."""
        found = self.pattern.match(line)
        return None if found is None else (found[1], found[2] if self.pattern.groups > 1 else b"")


JSON_LINES = Layout(".jsonl", b"", _JSON)
CSV_ROWS = Layout(".csv", ",".join(COLUMNS).encode() + b"\n", _CSV)
LAYOUTS: Mapping[Form, Layout] = {"json": JSON_LINES, "csv": CSV_ROWS}


@attrs.frozen(kw_only=True)
class Recorder:
    """Makes the records of batches.

    `channels` are those that are wanted; all, if there are none. `meter_name` names a meter, `channel_name` a channel.
    """

    content: Content
    form: Form
    channels: Sequence[ChannelRef]
    meter_name: Callable[[str], str]
    channel_name: Callable[[str, str], str]
    polarity: Polarity

    def records(self, batch: Batch) -> list[Record]:
        """Return the records of a batch, oldest first; none of what nothing is wanted."""
        if self.content == "readings":
            made = ((reading, self._reading(reading)) for reading in batch.readings)
        else:
            made = ((sample.newer, self._sample(sample)) for sample in batch.samples)
        return [Record(reading, rows) for reading, rows in made if rows]

    def _reading(self, reading: Reading) -> tuple[Row, ...]:
        values = {label: _plain(n) for label, n in reading.values.items() if self._is_wanted(reading.serial, label)}
        return (self._json(reading, {"values": values}),) if values else ()

    def _sample(self, sample: Sample) -> tuple[Row, ...]:
        found = [one for one in measurements(sample, self.polarity) if self._is_wanted(sample.serial, one.channel)]
        if not found:
            return ()
        if self.form == "csv":
            return tuple(self._csv(sample, found))
        return (self._json(sample.newer, self._tree(sample, found)),)

    def _is_wanted(self, serial: str, label: str) -> bool:
        wanted = (ref.label for ref in self.channels if ref.matches(serial))
        return not self.channels or any(label == one or label.startswith(f"{one}_") for one in wanted)

    def _tree(self, sample: Sample, found: Iterable[Measurement]) -> dict[str, Any]:
        """Return a sample as an object: channels and sensors by their labels, None for what is not known."""
        channels, sensors = {}, {}
        for one in found:
            named = {"name": self._name(sample.serial, one.channel)}
            if one.value is None:
                channels[one.channel] = named | {name: _plain(getattr(one, name)) for name in CIRCUIT}
            else:
                sensors[one.channel] = named | {"value": _plain(one.value)}
        interval = {"seconds": sample.seconds, "reset": sample.reset, "volts": _plain(sample.newer.get("volts"))}
        return {**interval, "channels": channels, "sensors": sensors}

    def _json(self, reading: Reading, rest: Mapping[str, Any]) -> Row:
        whose = {"meter": self.meter_name(reading.serial), "key": reading.key, "time": _utc(reading.time)}
        line = json.dumps({**whose, **rest}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        return _identified(JSON_LINES, line)

    def _csv(self, sample: Sample, found: Iterable[Measurement]) -> Iterator[Row]:
        meter, volts = self.meter_name(sample.serial), _plain(sample.newer.get("volts"))
        for one in found:
            own = (_utc(sample.end), sample.newer.key, meter, one.channel, self._name(sample.serial, one.channel))
            numbers = map(_plain, (one.amps, one.wh_delta, one.wh_import, one.wh_export, one.value))
            circuit = (sample.seconds, _plain(one.watts), volts) if one.value is None else (None, None, None)
            yield _identified(CSV_ROWS, _csv_line([*own, *circuit, *numbers]))

    def _name(self, serial: str, channel: str) -> str:
        return _CONTROLS.sub(" ", self.channel_name(serial, channel))


def _identified(layout: Layout, line: bytes) -> Row:
    """Return a line with what it will be recognised by."""
    found = layout.identify(line)
    assert found is not None  # noqa: S101 - it was written just now
    return Row(*found, line)


def _csv_line(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _plain(value: Number) -> Number:
    """Return a number as it is written: None where there is none, or where JSON has no word for it; never -0.0."""
    if value is None or isinstance(value, int):
        return value
    return round(value, DIGITS) + 0.0 if math.isfinite(value) else None


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
