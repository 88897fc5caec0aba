# SPDX-License-Identifier: GPL-3.0-or-later
"""A table as text, a row for each reading, a line above it with the names of the columns (CSV).

A column is known by its name, as btmon's tables have it, or by the label that the options give it. Of each channel
what is nearest to the meter's counters is taken: the counters, else the energy of either direction, else the net
energy, else that of the interval, else the power.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite

from btcore.classes import define, frozen
from btcore.formats import Number
from btcore.imports.assembly import assemble, format_of
from btcore.imports.energies import EnergyCounters
from btcore.imports.file_times import FileTimes
from btcore.imports.options import ImportOptions
from btcore.records import Reading

Damaged = Callable[[int, str], None]
"""Is given the number of a line, and what is wrong with it."""

DELIMITERS = ",;\t"

TIME, SERIAL = "time", "serial"

NO_CHANNELS = {TIME, SERIAL, "secs", "flag", "volts"}

ALIASES = {"time_created": TIME, "timestamp": TIME, "datetime": TIME, "date": TIME, "ecm_serial": SERIAL}
"""Other names of columns; the first two are btmon's."""

_LABEL = re.compile(
    r"(?P<channel>ch[1-9]\d?|aux[1-5])_(?P<unit>aws|pws|ws|a|amps|w|(?:[pnd]?)(?:k?wh))|volts|secs|flag|aux5_volts|p[1-4]|t[1-8]"
)
WH, KWH = 3600, 3_600_000
"""Ws."""


class NoTable(ValueError):
    """A file whose first line does not have what is needed of every row."""


@frozen
class Columns:
    """The columns of a file: the index of each label, and those that are not known."""

    delimiter: str
    indexes: Mapping[str, int]
    unknown: tuple[str, ...]

    @property
    def channels(self) -> Mapping[str, frozenset[str]]:
        """The units of each channel."""
        found: dict[str, set[str]] = {}
        for label in self.indexes:
            if (match := _LABEL.fullmatch(label)) and match["channel"]:
                found.setdefault(match["channel"], set()).add(match["unit"])
        return {channel: frozenset(units) for channel, units in found.items()}


def parse_header(line: str, options: ImportOptions) -> Columns | None:
    """Return the columns that a line names; None where it is no header: it has no time, or nothing that is measured."""
    delimiter = max(DELIMITERS, key=line.count)
    names = [name.strip() for name in _fields(line, delimiter)]
    labels = [options.columns.get(name) or _label(name) for name in names]
    indexes = {label: index for index, label in reversed([*enumerate(labels)]) if label}
    if TIME not in indexes or not indexes.keys() - {TIME, SERIAL}:
        return None
    return Columns(delimiter, indexes, tuple(name for name, label in zip(names, labels, strict=True) if not label))


def is_label(label: str) -> bool:
    """Whether a column may be given this label."""
    return bool(_label(label))


def _label(name: str) -> str:
    lower = name.lower()
    label = ALIASES.get(lower, lower).replace("_amps", "_a")
    return label if label in (TIME, SERIAL) or _LABEL.fullmatch(label) else ""


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None


def read_csv(
    lines: Iterable[tuple[int, str]], options: ImportOptions, counters: EnergyCounters, damaged: Damaged
) -> Iterator[Reading]:
    """Yield the readings of a table, in its order. The first line that is not blank has the names of the columns."""
    rows = ((number, line) for number, line in lines if line.strip())
    number, line = next(rows, (1, ""))
    try:
        columns = parse_header(line, options)
    except ValueError as error:  # such as a file whose lines end in CR alone
        damaged(number, f"expected a table whose lines end in LF ({error})")
        return
    if columns is None:
        damaged(number, f'expected the names of the columns, "{TIME}" among them')
        return
    if columns.unknown:
        damaged(number, f"columns that are not known, and left out: {', '.join(columns.unknown)[:500]}")
    if SERIAL not in columns.indexes and not options.serial:
        damaged(number, f'there is no column "{SERIAL}": name the meter by --serial')
        return
    reader = _RowReader(columns, options, counters, FileTimes(options), columns.channels)
    for number, line in rows:
        try:
            yield reader.reading(_fields(line, columns.delimiter))
        except (ValueError, OverflowError) as error:
            damaged(number, str(error))


@define
class _RowReader:
    """Makes readings of rows."""

    columns: Columns
    options: ImportOptions
    counters: EnergyCounters
    times: FileTimes
    channels: Mapping[str, frozenset[str]]

    def reading(self, row: Sequence[str]) -> Reading:
        """Return the reading of a row. Raises ValueError."""
        serial = self._text(row, SERIAL) or self.options.serial
        if not serial:
            raise ValueError("a row without a serial number")
        numbers = {label: self._number(row, label) for label in self.columns.indexes if label not in (TIME, SERIAL)}
        time = self.times.read(serial, self._text(row, TIME))
        known: dict[str, Number] = {label: number for label, number in numbers.items() if "_" not in label}
        known["aux5_volts"] = numbers.get("aux5_volts")
        for channel in self.channels:
            known[f"{channel}_a"] = numbers.get(f"{channel}_a")
            known |= self._energy(serial, channel, time, numbers)
        form = format_of(serial, {label.partition("_")[0] for label in self.columns.indexes} - NO_CHANNELS)
        return assemble(form, serial, time, {label: _as_packet_has(label, number) for label, number in known.items()})

    def _energy(self, serial: str, channel: str, time: datetime, numbers: Mapping[str, Number]) -> dict[str, Number]:
        """Return the counters of a channel; none where the row has nothing of it."""
        if (counters := self._counters(channel, numbers)) is None:
            counters = self._from_rises(serial, channel, time, numbers)
        if counters is None:
            return {}
        if channel.startswith("aux"):
            return {f"{channel}_ws": counters[0]}
        return {f"{channel}_aws": counters[0], f"{channel}_pws": counters[1]}

    def _counters(self, channel: str, numbers: Mapping[str, Number]) -> tuple[int, int] | None:
        """Return what a row has of the meter's own counters, or of what they count in either direction."""
        absolute = numbers.get(f"{channel}_aws", numbers.get(f"{channel}_ws"))
        if absolute is not None:
            return int(absolute), int(numbers.get(f"{channel}_pws") or 0)
        positive, negative = (_energy_of(numbers, f"{channel}_{way}") for way in "pn")
        if positive is None or negative is None:
            return None
        return positive + negative, negative if self.options.polarity == "brultech" else positive

    def _from_rises(
        self, serial: str, channel: str, time: datetime, numbers: Mapping[str, Number]
    ) -> tuple[int, int] | None:
        """Return counters that rise by the net energy, the energy of the interval, or the power of a row."""
        sign = 1 if self.options.polarity == "brultech" or channel.startswith("aux") else -1
        if (net := _energy_of(numbers, f"{channel}_")) is not None:
            return self.counters.of_net(serial, channel, time, sign * net)
        if (energy := _energy_of(numbers, f"{channel}_d")) is not None:
            return self.counters.of_interval(serial, channel, time, sign * energy)
        if (watts := numbers.get(f"{channel}_w")) is not None:
            return self.counters.of_power(serial, channel, time, sign * watts)
        return None

    def _text(self, row: Sequence[str], label: str) -> str:
        index = self.columns.indexes.get(label)
        return row[index].strip() if index is not None and index < len(row) else ""

    def _number(self, row: Sequence[str], label: str) -> Number:
        """Return the number of a cell; None where it is empty. Raises ValueError for what is no number."""
        text = self._text(row, label)
        if text.lower() in ("", "null", "none", "?", "nan", "n/a"):
            return None
        if self.columns.delimiter != ",":
            text = text.replace(",", ".")
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"{label}: {text[:40]!r} is no number") from None
        if not isfinite(number):
            raise ValueError(f"{label}: {text[:40]!r} is no number that can be measured")
        return number


def _energy_of(numbers: Mapping[str, Number], start: str) -> int | None:
    """Return an energy in Ws, whichever unit its column has."""
    for unit, factor in (("wh", WH), ("kwh", KWH)):
        if (number := numbers.get(f"{start}{unit}")) is not None:
            return round(number * factor)
    return None


def _as_packet_has(label: str, number: Number) -> Number:
    """Return a number as a packet has it: what counts is whole."""
    is_counter = label in ("secs", "flag") or label.endswith("ws") or (label[0] == "p" and label[1:].isdigit())
    return int(number) if is_counter and number is not None else number
