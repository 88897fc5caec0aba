# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes the packets of Acme's inverters: a header, seven numbers, and a checksum."""

import struct
import zlib

from btcore import Channel, Damaged, Format, Incomplete, Packet, hookimpl, plugin

HEADER = b"\xac\x3e"
BODY = struct.Struct("<2sIIHQQIh")
SIZE = BODY.size + 4
NO_SENSOR = -999


def unpack(raw: bytes) -> tuple[float | None, ...]:
    """Return the numbers of a packet, in the order of the labels."""
    _, _, secs, volts, total, back, pv1, degrees = BODY.unpack_from(raw)
    return secs, volts / 10, total, back, pv1, None if degrees == NO_SENSOR else degrees / 10


ACME = Format(
    name="acme",
    labels=("secs", "volts", "grid_aws", "grid_pws", "pv1_ws", "heat"),
    channels=(
        Channel("grid", absolute="grid_aws", polarized="grid_pws", bits=48),
        Channel("pv1", absolute="pv1_ws", bits=32, directional=False),
    ),
    unpack=unpack,
    seconds_bits=32,
)


@plugin(api=1)
class Acme:
    """Decodes the packets of Acme's inverters."""

    header = HEADER
    packet_formats = (ACME,)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Look for a packet at the start of the buffer."""
        if not HEADER.startswith(bytes(buffer[:2])):
            return None
        if len(buffer) < SIZE:
            return Incomplete()
        raw = bytes(buffer[:SIZE])
        if zlib.crc32(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
            return Damaged("its checksum does not fit")
        _, serial, *_ = BODY.unpack_from(raw)
        return Packet(size=SIZE, format=ACME, serial=str(serial), raw=raw)
