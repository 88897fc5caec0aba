# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the schema `samples`: one row for each meter, channel and interval, whatever the packet format.

What belongs here: its columns, how a sample becomes rows, and the views for the energy of a day and of a month. Sensors
(temperatures, pulses) are rows as well, with their number in `value`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from btcore.classes import field, frozen
from btcore.measurement import Measurement, measurements
from btcore.records import Sample
from btcore.settings import Polarity
from btcore.sql.dialect import Dialect, Kind, Value
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


@frozen(eq=False, slots=False)
class SamplesTable:
    """The table for the samples of all meters. `channel_name` names a meter's channel, `polarity` is the samples'."""

    name: str
    channel_name: Callable[[str, str], str]
    polarity: Polarity = "brultech"
    key: str = "time"
    serial: str = "serial"
    time: str = "time"
    kinds: Mapping[str, Kind] = field(factory=lambda: KINDS)
    primary_key: tuple[str, ...] = ("time", "serial", "channel")
    indexes: tuple[tuple[str, ...], ...] = (("serial", "channel", "time"),)
    further_columns: Mapping[str, str] = field(factory=dict)
    measured: frozenset[str] = frozenset()

    def with_found_columns(self, _names: Sequence[str]) -> "SamplesTable":
        """Return the table: it has the same columns always."""
        return self

    def rows(self, record: Record, dialect: Dialect) -> Iterator[Row]:
        """Yield a row for each channel that is in use, and for each sensor that there is."""
        reading, sample = record
        if not isinstance(sample, Sample):
            return
        time, volts = dialect.time_value(reading.key), reading.get("volts")
        for one in measurements(sample, self.polarity):
            yield (
                *(time, reading.serial, one.channel, self.channel_name(reading.serial, one.channel)),
                *_values(one, sample.seconds, volts),
            )

    def views(self, dialect: Dialect) -> dict[str, str]:
        """Return the views for the energy of a day and of a month, by name, each with the statement that makes it."""
        return views(self, dialect)


def _values(one: Measurement, seconds: float | None, volts: Value) -> tuple[Value, ...]:
    if one.value is not None:
        return (*([None] * 7), one.value)
    length = None if seconds is None else round(seconds)
    return length, one.watts, volts, one.amps, one.wh_delta, one.wh_import, one.wh_export, None


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
