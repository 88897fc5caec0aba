# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about channels that the configuration names, from the readings of late: clamps and sensors."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from btcore.classes import frozen
from btcore.config.named_channels import NamedChannel, named_channels
from btcore.doctor.facts import HeardReading, SiteFacts
from btcore.findings import Finding
from btcore.formats import Channel
from btcore.records import Reading

BOTH_WAYS = re.compile(
    r"solar|pv|panel|roof|generat|inverter|turbine|wind|hydro|batter|storage|powerwall|grid|mains?\b|net\b|utility|feed"
    r"|export|service|photovolt|charger",
    re.IGNORECASE,
)
"""Names of what may well export: panels, batteries, the grid."""

BOTH_WAYS_SETTINGS = {"generation", "grid", "solar", "export"}
"""Settings of sinks that name a channel of this kind."""

EXPORTED = 0.9
"""The share of its energy that a load exports whose clamp is the wrong way round."""

MIN_ENERGY = 3600
"""Ws that a channel must have counted of late, to say which way it flows: one Wh."""

MIN_SPAN = 600.0
"""Seconds that a meter must have been heard for, before a channel is said to stand still."""


@frozen
class _Named:
    """A channel or sensor that is named: its label, and the name or the setting by which it is known."""

    label: str
    name: str
    is_load: bool


def find(facts: SiteFacts) -> Iterator[Finding]:
    """Yield what is wrong with named channels."""
    names = named_channels(facts.site)
    channels = facts.site.channels
    for serial, heard in facts.meters.items():
        for named in _of_meter(serial, names, channels, only=len(facts.meters) == 1):
            where = f"meter {serial} {named.label}"
            yield from _reversed(named, heard, where)
            yield from _still(named, heard, where)


def _of_meter(
    serial: str, names: Sequence[NamedChannel], channels: Mapping[str, str], *, only: bool
) -> Iterator[_Named]:
    """Yield the channels of a meter that are named, each once. A name without a meter counts where there is one."""
    mine = [one for one in names if one.label and (one.serial == serial or (not one.serial and only))]
    for label in dict.fromkeys(one.label for one in mine):
        same = [one for one in mine if one.label == label]
        name = channels.get(f"{serial}_{label}") or channels.get(label) or ""
        settings = {one.key for one in same if one.table != "channels"}
        both = settings & BOTH_WAYS_SETTINGS or BOTH_WAYS.search(name)
        is_load = not both and bool(name or "consumption" in settings)
        yield _Named(label, name or f"[{same[0].table}] {same[0].key}", is_load)


def _reversed(named: _Named, heard: Sequence[HeardReading], where: str) -> Iterator[Finding]:
    channel = _channel(named.label, heard[-1].reading)
    if channel is None or channel.polarized is None or not named.is_load:
        return
    total, exported = _rise(heard, channel.absolute), _rise(heard, channel.polarized)
    if total is None or exported is None or total < MIN_ENERGY or exported < EXPORTED * total:
        return
    yield Finding(
        "clamp-reversed",
        f'"{named.name}" exports: of {total / 3600:.1f} Wh, {exported / 3600:.1f} Wh flowed out',
        "A load cannot export: turn its clamp round, or change the channel's polarity in the vendor's software. If it"
        " is no load (panels, a battery), its name in [channels] should say so",
        where,
    )


def _still(named: _Named, heard: Sequence[HeardReading], where: str) -> Iterator[Finding]:
    reading = heard[-1].reading
    if (heard[-1].arrived - heard[0].arrived).total_seconds() < MIN_SPAN:
        return
    channel = _channel(named.label, reading)
    if re.fullmatch(r"t\d+", named.label):
        if all(one.reading.get(named.label) is None for one in heard):
            text = f'"{named.name}": no sensor answers'
            yield Finding("no-sensor", text, "Check the sensor and its cable, and that it is on this input", where)
    elif (channel is not None and reading.get(channel.absolute) == 0) or (
        re.fullmatch(r"p\d+", named.label) and reading.get(named.label) == 0
    ):
        yield Finding(
            "channel-never-moves",
            f'"{named.name}" has never counted anything',
            "Check that its clamp is closed round one wire, plugged in at this input, and that the channel is the one"
            " that is meant; if the circuit is not used, remove its name",
            where,
        )


def _channel(label: str, reading: Reading) -> Channel | None:
    """Return the channel of a label such as ch1, or ch1_w."""
    name = label.partition("_")[0]
    return next((channel for channel in reading.format.channels if channel.name == name), None)


def _rise(heard: Sequence[HeardReading], label: str) -> float | None:
    """Return by how much a counter rose over the readings; None where it restarted or is missing."""
    numbers = [one.reading.get(label) for one in heard if label in one.reading.format.index]
    if len(numbers) < 2 or None in numbers:  # noqa: PLR2004 - from one to another
        return None
    found = [float(number or 0) for number in numbers]
    return None if any(new < old for old, new in itertools.pairwise(found)) else found[-1] - found[0]
