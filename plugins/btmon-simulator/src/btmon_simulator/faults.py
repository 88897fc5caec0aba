"""What goes wrong on the way from a meter: each fault is one function from a packet to the bytes that arrive.

No fault here harms a packet that comes after it, and whoever frames the bytes well still finds it.
"""

from collections.abc import Callable
from random import Random
from typing import Literal

Fault = Literal["junk", "truncated", "checksum", "duplicate", "pieces", "reset", "gap", "missing-sensor"]
"""All that may be asked for. The last three are the meter's own; they are in `schedule.py`."""

MOST_JUNK = 100
MOST_PIECES = 8


def junk(packet: bytes, random: Random) -> list[bytes]:
    """Noise, before a packet that is whole. Some of it looks like a header."""
    noise = random.randbytes(random.randint(1, MOST_JUNK))
    return [noise + random.choice((b"", b"\xfe", b"\xfe\xff", b"\xfe\xff\x05")) + packet]


def truncated(packet: bytes, random: Random) -> list[bytes]:
    """Cut the end off."""
    return [packet[: random.randint(1, len(packet) - 1)]]


def checksum(packet: bytes, random: Random) -> list[bytes]:
    """Change one byte of the payload, so that the checksum does not fit any more."""
    place = random.randrange(3, len(packet) - 3)
    return [packet[:place] + bytes([packet[place] ^ 1 << random.randrange(8)]) + packet[place + 1 :]]


def duplicate(packet: bytes, _random: Random) -> list[bytes]:
    """Send it twice."""
    return [packet, packet]


def pieces(packet: bytes, random: Random) -> list[bytes]:
    """Send it whole, but cut in pieces, as gateways do."""
    cuts = sorted(random.sample(range(1, len(packet)), random.randint(1, MOST_PIECES)))
    return [packet[start:end] for start, end in zip([0, *cuts], [*cuts, len(packet)], strict=True)]


ON_THE_WAY: dict[str, Callable[[bytes, Random], list[bytes]]] = {
    "junk": junk,
    "truncated": truncated,
    "checksum": checksum,
    "duplicate": duplicate,
    "pieces": pieces,
}
"""The faults that happen to the bytes of a packet."""
