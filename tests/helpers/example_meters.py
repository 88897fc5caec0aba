# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Acme and the Sunline meters send, whose plugins `docs/writing-a-plugin.md` writes and `meters/` has."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

METERS_FOLDER = Path(__file__).parents[1] / "meters"
"""A distribution for each: btmon-acme and btmon-sunline."""


def acme_packet(
    secs: int, *, serial: int = 4242, total: int = 0, back: int = 0, pv1: int = 0, degrees: int = -999
) -> bytes:
    """Make a packet of an Acme inverter, at 230.5 V."""
    body = struct.pack("<2sIIHQQIh", b"\xac\x3e", serial, secs, 2305, total, back, pv1, degrees)
    return body + zlib.crc32(body).to_bytes(4, "little")


def sunline_line(secs: int, pv1: int = 0, *, serial: int = 77, volts: str = "229.9") -> bytes:
    """Make a line of a Sunline meter."""
    return b"SUN,%d,%d,%s,%d\r\n" % (serial, secs, volts.encode(), pv1)


def example_streams(seconds: Sequence[int] = (1000, 1010, 1020)) -> tuple[bytes, bytes]:
    """Return what one of each sends while the panels make 3600 W, and the house takes 1800 W and gives back 360 W."""
    packets = b"".join(acme_packet(s, total=2160 * s, back=360 * s, pv1=3600 * s, degrees=215) for s in seconds)
    return packets, b"".join(sunline_line(s, 3600 * s) for s in seconds)
