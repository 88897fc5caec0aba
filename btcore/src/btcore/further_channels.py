# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels of a meter that btmon did not have: 33 to 48 of a GEM. In most panels nothing is clamped to them.

So a sink with a column or a feed for each channel adds these channels only once they are active: once they have counted
something. How a sink shows them is decided in the sink; their columns in btmon's tables are in `schemas.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from btcore.calculated import Picker, picker
from btcore.formats import Channel, Format, Number
from btcore.records import Reading, Sample, calculated_of

NO_VALUES: Mapping[str, Number] = {}

CIRCUITS = 32
"""The most directional channels that btmon read of any packet."""


@lru_cache(maxsize=64)
def further_channels(format: Format) -> tuple[Channel, ...]:
    """Return the channels of a format that btmon did not have; none for a meter that btmon did not know."""
    return tuple(channel for channel in format.channels if channel.directional)[CIRCUITS:] if format.family else ()


def active_further_channels(record: Reading | Sample) -> tuple[Channel, ...]:
    """Return the further channels of a meter that are active: those with a counter above 0.

    Of a sample, the newer reading decides; where its counters are 0, as after a restart, the energy of the interval.
    """
    reading = record if isinstance(record, Reading) else record.newer
    numbers = reading.numbers
    further = _further_counters(reading.format)
    if not further or (not any(_counters_of_further(reading.format)(numbers)) and not _has_energy(record)):
        return ()
    energies = calculated_of(record) if isinstance(record, Sample) else NO_VALUES
    return tuple(
        channel
        for channel, absolute, polarized, energy in further
        if numbers[absolute] or numbers[polarized] or energies.get(energy)
    )


def active_in(format: Format, records: Sequence[Reading | Sample]) -> set[Channel]:
    """Return the further channels that are active in any of several records of one format."""
    if not further_channels(format):
        return set()
    counters = _counters_of_further(format)
    none = (0,) * len(counters(range(len(format.labels))))
    some = [one for one in records if not isinstance(one, Reading) or counters(one.numbers) != none]
    return {channel for one in some for channel in active_further_channels(one)}


def _has_energy(record: Reading | Sample) -> bool:
    """Whether a further channel has counted in the interval of a sample; its format has such channels."""
    if isinstance(record, Reading):
        return False
    try:
        return any(_energies_of_further(record.format)(calculated_of(record)))  # 1 µs for a GEM instead of 20
    except KeyError:  # a value that this sample does not have
        return True


def visible_channels(record: Reading | Sample) -> tuple[Channel, ...]:
    """Return the channels that a sink shows by default: all but the further channels that are not active."""
    return _all_but_idle(record.format, active_further_channels(record))


@lru_cache(maxsize=256)
def _all_but_idle(format: Format, active: tuple[Channel, ...]) -> tuple[Channel, ...]:
    idle = set(further_channels(format)).difference(active)
    return tuple(channel for channel in format.channels if channel not in idle)


@lru_cache(maxsize=64)
def _counters_of_further(format: Format) -> Callable[[Sequence[Number]], Sequence[Number]]:
    """Return what gets all counters of the further channels: in most houses they are 0, which is seen at once."""
    indexes = [index for _, absolute, polarized, _ in _further_counters(format) for index in (absolute, polarized)]
    return itemgetter(*indexes) if indexes else lambda _numbers: ()


@lru_cache(maxsize=64)
def _energies_of_further(format: Format) -> Picker:
    """Return what gets the energies of an interval of the further channels, of which there are some."""
    energies = [energy for *_, energy in _further_counters(format)]
    return picker(energies) if len(energies) > 1 else lambda values: (values[energies[0]],)


@lru_cache(maxsize=64)
def _further_counters(format: Format) -> tuple[tuple[Channel, int, int, str], ...]:
    """Return the further channels, each with the indexes of its counters and the label of an interval's energy."""
    index = format.index
    return tuple(
        (channel, index[channel.absolute], index[channel.polarized or channel.absolute], f"{channel.name}_dwh")
        for channel in further_channels(format)
    )
