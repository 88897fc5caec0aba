# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of btmon's database tables, for each packet format and schema: one table for every SQL sink.

`counters` keeps what the meter counted, from which all else can be calculated; `ecmread` amperes and watts;
`ecmreadext` those and energies. The names are btmon's, so that its tables, and what people built on them, go on
working. A meter that btmon did not know (`Format.family` is "") has every label in `counters`, in its own order; the
other schemas have what it measures beside its counters, and what is calculated of every channel.

btmon's tables have 32 channels. The columns of a GEM's further channels stand behind btmon's: a sink adds them to a
table when such a channel becomes active, and sees from a table's columns which it already has.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from btcore.classes import frozen
from btcore.formats import CALCULATED, SECONDS, Channel, Format
from btcore.further_channels import further_channels

SCHEMAS = ("counters", "ecmread", "ecmreadext")

SINKS_OWN = frozenset({"id", "time_created", "serial", "ecm_serial"})
"""Columns that a sink has beside those of a schema."""


@frozen
class Column:
    """One column: its name in the table, the label of its number, and whether that is a whole number or a real one."""

    name: str
    label: str
    kind: Literal["integer", "real"]


def columns(format: Format, schema: str, further: Iterable[Channel] = ()) -> tuple[Column, ...]:
    """Return the measured and calculated columns of `<format>_<schema>`, in btmon's order.

    Behind them are those of the `further` channels: those that are active (`active_further_channels`), and those that
    the table already has columns for (`channels_in`). By default there are only btmon's columns.

    The columns of time, serial number and key are the sink's: see `serial_column`. Raises KeyError for an unknown
    schema.
    """
    usual, behind = _parted(format, schema)
    wanted = {channel.name for channel in further}
    return usual + tuple(column for name, some in behind.items() if name in wanted for column in some)


def channels_in(format: Format, schema: str, names: Iterable[str]) -> tuple[Channel, ...]:
    """Return the further channels of a format that a table has columns for; `names` are those of all its columns.

    SQL ignores case in names.
    """
    there = {name.lower() for name in names}
    _, behind = _parted(format, schema)
    return tuple(
        channel
        for channel in further_channels(format)
        if any(column.name.lower() in there for column in behind[channel.name])
    )


def serial_column(schema: str) -> str:
    """Return the name of the column that holds the serial number."""
    return "serial" if schema == "counters" else "ecm_serial"


@lru_cache(maxsize=64)
def _parted(format: Format, schema: str) -> tuple[tuple[Column, ...], Mapping[str, tuple[Column, ...]]]:
    """Return the columns that every table of a format has, and those of each further channel, by its name."""
    behind: dict[str, list[Column]] = {channel.name: [] for channel in further_channels(format)}
    usual: list[Column] = []
    for column in _all_columns(format, schema):
        behind.get(column.label.rpartition("_")[0], usual).append(column)
    return tuple(usual), {name: tuple(some) for name, some in behind.items()}


def _all_columns(format: Format, schema: str) -> tuple[Column, ...]:
    labels = _LABELS[schema](format)
    if not format.family:
        return tuple(_own_column(label, format) for label in dict.fromkeys(labels))
    calculated = {f"{channel.name}_{unit}" for channel in format.channels for unit in CALCULATED}
    return tuple(_column(label, schema, format) for label in labels if label in format.index or label in calculated)


def _column(label: str, schema: str, format: Format) -> Column:
    is_integer = label == "secs" or label.endswith("ws") or (label[0] == "p" and label[1:].isdigit())
    # btmon's tables of an ECM have "amps" in the names of this one schema
    amps = schema == "ecmread" and format.family == "ecm" and label.endswith("_a")
    return Column(f"{label}mps" if amps else label, label, "integer" if is_integer else "real")


def _own_column(label: str, format: Format) -> Column:
    """Make a column of a meter that btmon did not know, with a `_` behind a name that the sink's own columns have."""
    counters = {counter for channel in format.channels for counter in (channel.absolute, channel.polarized)}
    name = label
    while name.lower() in SINKS_OWN or (name != label and name in format.index):
        name += "_"
    return Column(name, label, "integer" if label == SECONDS or label in counters else "real")


def _circuits(format: Format) -> list[str]:
    return [channel.name for channel in format.channels if channel.directional]


def _all(format: Format) -> list[str]:
    return _circuits(format) + [c.name for c in format.channels if not c.directional]


def _sensors(format: Format) -> list[str]:
    """Return the labels beside time and energy: a GEM's pulses and temperatures; of an unknown meter, all others."""
    if format.family:
        return [label for label in format.labels if label[0] in "pt" and label[1:].isdigit()]
    counters = {counter for channel in format.channels for counter in (channel.absolute, channel.polarized)}
    return [label for label in format.labels if label != SECONDS and label not in counters]


def _counters(format: Format) -> list[str]:
    if not format.family:
        return list(format.labels)
    circuits = _circuits(format)
    if format.family == "gem":
        pairs = [f"{name}_{kind}" for name in circuits for kind in ("aws", "pws")]
        return ["secs", "volts", *pairs, *_sensors(format)]
    kinds = [f"{name}_{kind}" for kind in ("a", "aws", "pws") for name in circuits]
    aux = [c.absolute for c in format.channels if not c.directional]
    return ["secs", "volts", *kinds, *aux, *(["aux5_volts"] if aux else [])]


def _read(format: Format) -> list[str]:
    measured = ["volts", *(f"{name}_a" for name in _circuits(format))] if format.family else _sensors(format)
    return [*measured, *(f"{name}_w" for name in _all(format))]


def _read_ext(format: Format) -> list[str]:
    labels = [*_read(format), *(f"{name}_{kind}" for kind in ("wh", "dwh") for name in _all(format))]
    if format.family == "gem":
        return labels + _sensors(format)
    circuits = _circuits(format)
    powers = [f"{name}_{kind}" for name in circuits for kind in ("pw", "nw")]
    return labels + powers + [f"{name}_{kind}" for name in circuits for kind in ("pwh", "nwh")]


_LABELS = {"counters": _counters, "ecmread": _read, "ecmreadext": _read_ext}
