"""The columns of btmon's database tables, for each packet format and schema: one table for every SQL sink.

`counters` keeps what the meter counted, from which all else can be calculated; `ecmread` amperes and watts;
`ecmreadext` those and energies. The names are btmon's, so that its tables, and what people built on them, go on
working. A meter that btmon did not know (`Format.family` is "") has every label in `counters`, in its own order; in the
others all that it measures beside its counters, and what is calculated of every channel.
"""

from typing import Literal

import attrs

from btcore.formats import CALCULATED, SECONDS, Format

SCHEMAS = ("counters", "ecmread", "ecmreadext")

CHANNELS = 32
"""Channels of a table, as in btmon: a 48-channel packet has 16 more, which the vendor calls a future expansion."""


SINKS_OWN = frozenset({"id", "time_created", "serial", "ecm_serial"})
"""Columns that a sink has beside those of a schema."""


@attrs.frozen
class Column:
    """One column: its name in the table, the label of its number, and whether that is a whole number or a real one."""

    name: str
    label: str
    kind: Literal["integer", "real"]


def columns(format: Format, schema: str) -> tuple[Column, ...]:
    """Return the measured and calculated columns of `<format>_<schema>`, in btmon's order.

    Time, serial number and key are the sink's own: see `serial_column`. Raises KeyError for an unknown schema.
    """
    labels = _LABELS[schema](format)
    if not format.family:
        return tuple(_own_column(label, format) for label in dict.fromkeys(labels))
    calculated = {f"{channel.name}_{unit}" for channel in format.channels for unit in CALCULATED}
    return tuple(_column(label, schema, format) for label in labels if label in format.index or label in calculated)


def serial_column(schema: str) -> str:
    """Return the name of the column that holds the serial number."""
    return "serial" if schema == "counters" else "ecm_serial"


def _column(label: str, schema: str, format: Format) -> Column:
    whole = label == "secs" or label.endswith("ws") or (label[0] == "p" and label[1:].isdigit())
    # btmon's tables of an ECM say amps in this one schema
    amps = schema == "ecmread" and format.family == "ecm" and label.endswith("_a")
    return Column(f"{label}mps" if amps else label, label, "integer" if whole else "real")


def _own_column(label: str, format: Format) -> Column:
    """Make the column of a meter that btmon did not know; what the sink's own columns are called, it has with a `_`."""
    counters = {counter for channel in format.channels for counter in (channel.absolute, channel.polarized)}
    name = label
    while name.lower() in SINKS_OWN or (name != label and name in format.index):
        name += "_"
    return Column(name, label, "integer" if label == SECONDS or label in counters else "real")


def _circuits(format: Format) -> list[str]:
    circuits = [channel.name for channel in format.channels if channel.directional]
    return circuits[:CHANNELS] if format.family else circuits


def _all(format: Format) -> list[str]:
    return _circuits(format) + [c.name for c in format.channels if not c.directional]


def _sensors(format: Format) -> list[str]:
    """Return what is measured beside time and energy: a GEM's pulses and temperatures, all that another meter has."""
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
