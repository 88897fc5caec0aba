# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the schema `samples`: one row for each meter, channel and interval, whatever the packet format.

What belongs here: its columns, how a sample becomes rows, and the views for the energy of a day and of a month. Sensors
(temperatures, pulses) are rows as well, with their number in `value`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

import attrs

from btcore.decode.further_channels import visible_channels
from btcore.formats import SECONDS, Channel, Format
from btcore.records import Sample
from btcore.settings import Polarity
from btcore.sql.dialect import Dialect, Kind
from btcore.sql.table import Record, Row

KINDS: Mapping[str, Kind] = {
    "time": "time",
    "serial": "serial",
    "channel": "serial",
    "name": "text",
    "seconds": "integer",
    "watts": "real",
    "volts": "real",
    "amps": "real",
    "wh_delta": "real",
    "wh_import": "real",
    "wh_export": "real",
    "value": "real",
}
"""Energy is in Wh: `wh_delta` is that of the interval, net; `wh_import` and `wh_export` are what the meter has counted
in all its life, and never fall."""


Plan = tuple[int, str, tuple[str, str, str]]
"""Of a channel: the index of its amperes, and the labels of its power, and of its energies."""


@attrs.frozen(eq=False, slots=False)
class SamplesTable:
    """The table for the samples of all meters. `channel_name` names a meter's channel, `polarity` is the samples'."""

    name: str
    channel_name: Callable[[str, str], str]
    polarity: Polarity = "brultech"
    key: str = "time"
    serial: str = "serial"
    time: str = "time"
    kinds: Mapping[str, Kind] = attrs.field(factory=lambda: KINDS)
    primary_key: tuple[str, ...] = ("time", "serial", "channel")
    indexes: tuple[tuple[str, ...], ...] = (("serial", "channel", "time"),)
    further_columns: Mapping[str, str] = attrs.field(factory=dict)
    measured: frozenset[str] = frozenset()

    def with_found_columns(self, _names: Sequence[str]) -> "SamplesTable":
        """Return the table: it has the same columns always."""
        return self

    def rows(self, record: Record, dialect: Dialect) -> Iterator[Row]:
        """Yield a row for each channel that is in use, and for each sensor that there is."""
        reading, sample = record
        if not isinstance(sample, Sample):
            return
        own, serial = (dialect.time_value(reading.key), reading.serial), reading.serial
        for channel, measured in self._measured(sample):
            yield (*own, channel, self.channel_name(serial, channel), sample.seconds, *measured, None)
        for label in sensors(sample.format):
            if (value := reading.get(label)) is not None:
                yield (*own, label, self.channel_name(serial, label), *([None] * 7), value)

    def _measured(self, sample: Sample) -> Iterator[tuple[str, Row]]:
        """Yield each channel that is in use, with its columns from `watts` to `wh_export`."""
        values, plans = sample.values, self._plans(sample.format)
        numbers = (*sample.newer.numbers, None)  # what is not measured is at the index -1
        volts = numbers[sample.format.index.get("volts", -1)]
        for channel in visible_channels(sample):
            amps, power, energies = plans[channel.name]
            yield channel.name, (values.get(power), volts, numbers[amps], *map(values.get, energies))

    @cached_property
    def _plans(self) -> Callable[[Format], Mapping[str, Plan]]:
        """What returns the plan of each channel of a format, by its name, made once."""

        @lru_cache(maxsize=64)
        def plans(format: Format) -> Mapping[str, Plan]:
            return {channel.name: self._plan(format, channel) for channel in format.channels}

        return plans

    def _plan(self, format: Format, channel: Channel) -> Plan:
        name = channel.name
        taken, given = self._directions(channel)
        amps = format.index.get(f"{name}_a", -1)
        return amps, f"{name}_w", (f"{name}_dwh", f"{name}_{taken}_total", f"{name}_{given}_total")

    def _directions(self, channel: Channel) -> tuple[str, str]:
        """Return which energies are imported and exported: what a positive number means depends on the polarity."""
        if not channel.directional:
            return "wh", ""  # nothing is exported
        return ("pwh", "nwh") if self.polarity == "brultech" else ("nwh", "pwh")


@lru_cache(maxsize=64)
def sensors(format: Format) -> tuple[str, ...]:
    """Return the labels of a format that are neither of a channel nor of the meter itself."""
    of_channels = {counter for one in format.channels for counter in (one.absolute, one.polarized)}
    of_channels |= {f"{one.name}_a" for one in format.channels}
    own = {SECONDS, "volts", format.reset_label}
    return tuple(label for label in format.labels if label not in of_channels and label not in own)


def views(table: SamplesTable, dialect: Dialect) -> dict[str, str]:
    """Return the views of the table, by name, each with the statement that makes it.

    An interval counts to the day in which it ends. Days are those of the time zone of the database's session (MySQL:
    the server's).
    """
    return {
        f"{table.name}_{name}": _view(f"{table.name}_{name}", table.name, column, expression, dialect)
        for name, column, expression in (("daily", "day", dialect.day), ("monthly", "month", dialect.month))
    }


def _view(name: str, table: str, column: str, expression: str, dialect: Dialect) -> str:
    """Return the statement for a view. What was counted is compared with the end of the span before."""
    view, of = dialect.quote_name(name), dialect.quote_name(table)
    totals = ", ".join(
        f"max_{way} - COALESCE(LAG(max_{way}) OVER (PARTITION BY serial, channel ORDER BY {column}), min_{way})"
        f" AS wh_{way}"
        for way in ("import", "export")
    )
    # of all columns but the grouped ones there is one value for each channel and span
    inner = (
        f"SELECT {expression} AS {column}, serial, channel, MAX(name) AS name, SUM(wh_delta) AS wh,"  # noqa: S608
        " MAX(wh_import) AS max_import, MIN(wh_import) AS min_import,"
        " MAX(wh_export) AS max_export, MIN(wh_export) AS min_export"
        f" FROM {of} WHERE wh_delta IS NOT NULL GROUP BY {expression}, serial, channel"
    )
    return f"CREATE VIEW {view} AS SELECT {column}, serial, channel, name, wh, {totals} FROM ({inner}) AS spans"  # noqa: S608 - names are quoted
