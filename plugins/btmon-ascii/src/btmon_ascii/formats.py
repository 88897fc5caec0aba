# SPDX-License-Identifier: GPL-3.0-or-later
"""The five formats: the labels of their numbers. How the text is read is in the module of each.

Energy is in Ws, as in the binary formats. `ch1_watts` is the power that the meter itself shows; `ch1_w` is what btcore
calculates of two readings. Two formats have the meter's seconds counter, so they continue from its binary packets and
are continued by them.
"""

from collections.abc import Callable, Sequence

from btcore import FORMATS, Channel, Format, Number

CHANNELS = range(1, 49)
PULSES = tuple(f"p{index}" for index in range(1, 5))
SENSORS = (*PULSES, *(f"t{index}" for index in range(1, 9)))

ENERGY = tuple(f"ch{index}_aws" for index in CHANNELS)
WATTS = tuple(f"ch{index}_watts" for index in CHANNELS)
AMPS = tuple(f"ch{index}_a" for index in CHANNELS)

COUNTER_BITS = 40
SECONDS_BITS = 24
PULSE_BITS = 24

BINARY = FORMATS["gem48pbin"]
"""The binary format that has the same numbers as HTTP GET (3)."""

Unpack = Callable[[bytes], Sequence[Number]]


def counting_format(name: str, labels: tuple[str, ...], unpack: Unpack, seconds_bits: int) -> Format:
    """Return a format with one energy counter for each channel."""
    channels = tuple(Channel(f"ch{index}", f"ch{index}_aws", bits=COUNTER_BITS) for index in CHANNELS)
    pulses = tuple(label for label in PULSES if label in labels)
    return Format(name, labels, channels, unpack, seconds_bits=seconds_bits, family="gem", pulses=pulses)


def http_get_format(unpack: Unpack) -> Format:
    """Return the format HTTP GET (3), which has all that BIN48-NET has."""
    return Format("gemhttpget", BINARY.labels, BINARY.channels, unpack, family="gem", pulses=BINARY.pulses)


def power_format(name: str, labels: tuple[str, ...], unpack: Unpack) -> Format:
    """Return a format without energy counters, and without a seconds counter."""
    return Format(name, labels, (), unpack, seconds_bits=0, family="gem")
