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
        time, serial, seconds, values = dialect.time_value(reading.key), reading.serial, sample.seconds, sample.values
        numbers = (*sample.newer.numbers, None)  # what is not measured is at the index -1
        volts = numbers[sample.format.index.get("volts", -1)]
        for channel in visible_channels(sample):
            name, amps, power, energy, taken, given = self._plan(sample.format, channel)
            yield (
                *(
                    time,
                    serial,
                    name,
                    self.channel_name(serial, name),
                    seconds,
                    values.get(power),
                    volts,
                    numbers[amps],
                ),
                *(values.get(energy), values.get(taken), values.get(given), None),
            )
        for label in sensors(sample.format):
            if (value := reading.get(label)) is not None:
                yield (time, serial, label, self.channel_name(serial, label), *([None] * 7), value)

    @cached_property
    def _plan(self) -> Callable[[Format, Channel], tuple[str, int, str, str, str, str]]:
        """What returns a channel's name, the index of its amperes, and the labels of its columns, from `watts` on."""

        @lru_cache(maxsize=1024)
        def plan(format: Format, channel: Channel) -> tuple[str, int, str, str, str, str]:
            name = channel.name
            taken, given = self._directions(channel)
            amps = format.index.get(f"{name}_a", -1)
            return name, amps, f"{name}_w", f"{name}_dwh", f"{name}_{taken}_total", f"{name}_{given}_total"

        return plan

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
