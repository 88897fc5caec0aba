"""The channels of a meter that btmon did not have: 33 to 48 of a GEM. Most panels have no clamp on them.

So a sink that has a place for every channel makes it for these only once they have moved. What it does with them is the
sink's; the columns that they have in btmon's tables are in `schemas.py`.
"""

from functools import lru_cache

from btcore.formats import Channel, Format
from btcore.records import Reading, Sample

CIRCUITS = 32
"""The channels with a direction that btmon had, whatever a packet holds."""


@lru_cache(maxsize=64)
def further_channels(format: Format) -> tuple[Channel, ...]:
    """Return the channels of a format that btmon did not have; none of a meter that it did not know."""
    return tuple(channel for channel in format.channels if channel.directional)[CIRCUITS:] if format.family else ()


def active_further_channels(record: Reading | Sample) -> tuple[Channel, ...]:
    """Return those of a meter's further channels that have moved: with a counter that is not 0.

    Of a sample the newer reading is looked at, and where its counters are at 0, as after a restart, the energy.
    """
    reading = record if isinstance(record, Reading) else record.newer
    numbers = reading.numbers
    return tuple(
        channel
        for channel, absolute, polarized, energy in _places(reading.format)
        if numbers[absolute] or numbers[polarized] or (isinstance(record, Sample) and record.values.get(energy))
    )


def visible_channels(record: Reading | Sample) -> tuple[Channel, ...]:
    """Return the channels of a meter for a sink that shows all there are: without the further ones that never moved."""
    idle = set(further_channels(record.format)).difference(active_further_channels(record))
    return tuple(channel for channel in record.format.channels if channel not in idle)


@lru_cache(maxsize=64)
def _places(format: Format) -> tuple[tuple[Channel, int, int, str], ...]:
    """Return the further channels, each with the places of its counters and the label of an interval's energy."""
    index = format.index
    return tuple(
        (channel, index[channel.absolute], index[channel.polarized or channel.absolute], f"{channel.name}_dwh")
        for channel in further_channels(format)
    )
