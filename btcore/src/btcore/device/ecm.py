# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of an ECM-1220 or ECM-1240, and what its answers mean. Pure: bytes only.

A meter is addressed by its device byte (`fc`, `fd`, `fe`, `ff`), and acknowledges each word by `fc`. Its settings are
a block of 32 bytes and a checksum.
"""

from btcore.classes import frozen
from btcore.device.settings import Change, ChannelSettings

ACKNOWLEDGE = b"\xfc"
DEVICES = ("fc", "fd", "fe", "ff")
"""The device bytes that a meter can have. That of a single meter is `fc`."""

SETTINGS_SIZE = 33
"""Bytes of the settings, with the checksum."""

READ = (b"SET", b"RCV")
"""After these words the meter sends its settings."""


@frozen
class EcmSettings:
    """What an ECM says of itself. The firmware is a number; `unit_id` is that of its packets."""

    channels: tuple[ChannelSettings, ...]
    pt_type: int
    pt_range: int
    interval: int
    firmware: int
    unit_id: int
    number: int

    @property
    def serial(self) -> str:
        """The serial number as text, as its packets have it."""
        return f"{self.unit_id % 10}{self.number:05}"


def parse_settings(data: bytes) -> EcmSettings:
    """Read the settings of an ECM. Raises ValueError with what is wrong."""
    if len(data) != SETTINGS_SIZE:
        raise ValueError(f"{SETTINGS_SIZE} bytes (there were {len(data)})")
    expected = sum(data[:-1]) & 0xFF
    if data[-1] != expected:
        raise ValueError(f"a block of settings whose checksum is {expected:02x} (it was {data[-1]:02x})")
    channels = tuple(ChannelSettings(f"ch{n + 1}", data[2 * n], data[2 * n + 1]) for n in range(2))
    return EcmSettings(
        channels, data[4], data[5], data[6], int.from_bytes(data[8:10]), data[10], int.from_bytes(data[11:13])
    )


def encode_settings(settings: EcmSettings) -> bytes:
    """Return the block that an ECM sends of these settings."""
    types = [number for channel in settings.channels for number in (channel.ct_type, channel.ct_range)]
    data = bytes([*types, settings.pt_type, settings.pt_range, settings.interval, 0])
    data += settings.firmware.to_bytes(2) + bytes([settings.unit_id]) + settings.number.to_bytes(2)
    data += bytes(SETTINGS_SIZE - 1 - len(data))
    return data + bytes([sum(data) & 0xFF])


def interval_words(change: Change) -> tuple[bytes, ...]:
    """Return the words that set the interval."""
    return (b"SET", b"IV2", bytes([int(str(change.value))]))


def ct_words(channel: str, ct_type: int, ct_range: int) -> tuple[bytes, ...]:
    """Return the words that set the current transformer of a channel: both numbers go together."""
    return (b"SET", f"CT{channel[2:]}".encode(), b"TYP", bytes([ct_type]), b"RNG", bytes([ct_range]))
