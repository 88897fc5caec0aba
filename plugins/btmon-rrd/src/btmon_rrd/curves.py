# SPDX-License-Identifier: GPL-3.0-or-later
"""What a directory of RRD files can show: for each channel and sensor, its files and its name. No file is opened.

How a curve is drawn is in `panels.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import attrs

from btcore import BtcoreError, Polarity
from btmon_rrd.feed import Stored
from btmon_rrd.layout import data_source_name

Quantity = Literal["power", "temperature", "volts", "amperes", "pulses", "other"]

MEASURED: Sequence[tuple[str, Quantity]] = (
    (r"t\d+", "temperature"),
    (r"volts", "volts"),
    (r"\w+_a", "amperes"),
    (r"p\d+", "pulses"),
)
"""The labels of what is no channel, by quantity."""


class GraphError(BtcoreError):
    """What cannot be drawn, and what to do about it."""


@attrs.frozen
class Curve:
    """One channel or sensor of a meter: its name, and its files by label (`ch1_aws`, `ch1_pws`, or `t1`)."""

    serial: str
    channel: str
    name: str
    quantity: Quantity
    files: Mapping[str, Path]

    @property
    def key(self) -> str:
        """As a configuration names it: SERIAL_CHANNEL."""
        return f"{self.serial}_{self.channel}"


@attrs.frozen
class Directory:
    """The files of one sink: where they are, what they hold, and how rrdcached is reached, if it writes them."""

    path: Path
    stored: Stored = "counters"
    polarity: Polarity = "brultech"
    daemon: str = ""


def curves_of(directory: Directory, channels: Mapping[str, str]) -> list[Curve]:
    """Return what a directory can show, in the order of meters and channels. Raises GraphError."""
    try:
        files = sorted(directory.path.glob("*.rrd"), key=lambda path: natural(path.name))
    except OSError as error:
        raise GraphError(f"{directory.path} cannot be read: {error.strerror or error}") from None
    if not files:
        raise GraphError(
            f"{directory.path} has no RRD files: is that the `dir` of the sink, and has it stored anything?"
        )
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for file in files:
        serial, _, label = unquote(file.stem).partition("_")
        if label:
            found.setdefault((serial, channel_of(label)), {})[label] = file
    made = [_curve(*key, files, directory, channels) for key, files in found.items()]
    return [curve for curve in made if curve is not None]


def _curve(
    serial: str, channel: str, files: Mapping[str, Path], directory: Directory, channels: Mapping[str, str]
) -> Curve | None:
    several = f"{serial}_{channel}"
    counters = {label: path for label, path in files.items() if label.endswith("ws")}
    power = {label: path for label, path in files.items() if label.endswith("_w")}
    wanted = (power or counters) if directory.stored == "power" else (counters or power)
    quantity: Quantity = "power" if wanted else _quantity(channel)
    name = channels.get(several, channel)
    return Curve(serial, channel, name, quantity, wanted or files)


def _quantity(label: str) -> Quantity:
    return next((quantity for pattern, quantity in MEASURED if re.fullmatch(pattern, label)), "other")


def channel_of(label: str) -> str:
    """Return the channel of a label of energy or power; any other label is one by itself."""
    found = re.fullmatch(r"(.+)_(?:aws|pws|ws|w)", label)
    return found[1] if found else label


def natural(text: str) -> list[tuple[int, str]]:
    """Return what sorts `ch10` behind `ch9`."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", text)]


def select(curves: Sequence[Curve], wanted: Iterable[str]) -> list[Curve]:
    """Return the curves of these names: of [channels], `SERIAL_CHANNEL`, or `CHANNEL` of every meter.

    Raises GraphError for a name of which there is none.
    """
    found: list[Curve] = []
    for name in wanted:
        matching = [one for one in curves if name in (one.name, one.key, one.channel)]
        if not matching:
            known = ", ".join(dict.fromkeys(one.name for one in curves))
            raise GraphError(f'there is no channel "{name}" in these files; there are {known}')
        found += [one for one in matching if one not in found]
    return found


def source_of(label: str) -> str:
    """Return the name of the data source in a file of a label."""
    return data_source_name(label)
