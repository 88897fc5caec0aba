# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults between a meter and this computer: each is a function from a packet to the bytes that arrive.

No fault damages the next packet: a correct framing of the bytes still finds it.
"""

from collections.abc import Callable
from random import Random
from typing import Literal

Fault = Literal["junk", "truncated", "checksum", "duplicate", "pieces", "reset", "gap", "missing-sensor"]
"""All faults. The last three are those of a meter itself; they are in `schedule.py`."""

MAX_JUNK = 100
MAX_PIECES = 8


def junk(packet: bytes, random: Random) -> list[bytes]:
    """Put junk before a complete packet. Some of it looks like a header."""
    noise = random.randbytes(random.randint(1, MAX_JUNK))
    return [noise + random.choice((b"", b"\xfe", b"\xfe\xff", b"\xfe\xff\x05")) + packet]


def truncated(packet: bytes, random: Random) -> list[bytes]:
    """Cut the end off."""
    return [packet[: random.randint(1, len(packet) - 1)]]


def checksum(packet: bytes, random: Random) -> list[bytes]:
    """Change one byte of the payload, so that the checksum does not fit any more."""
    index = random.randrange(3, len(packet) - 3)
    return [packet[:index] + bytes([packet[index] ^ 1 << random.randrange(8)]) + packet[index + 1 :]]


def duplicate(packet: bytes, _random: Random) -> list[bytes]:
    """Send it twice."""
    return [packet, packet]


def pieces(packet: bytes, random: Random) -> list[bytes]:
    """Send all of it, but in pieces, as gateways do."""
    cuts = sorted(random.sample(range(1, len(packet)), random.randint(1, MAX_PIECES)))
    return [packet[start:end] for start, end in zip([0, *cuts], [*cuts, len(packet)], strict=True)]


TRANSMISSION_FAULTS: dict[str, Callable[[bytes, Random], list[bytes]]] = {
    "junk": junk,
    "truncated": truncated,
    "checksum": checksum,
    "duplicate": duplicate,
    "pieces": pieces,
}
"""The faults that happen to the bytes of a packet."""
