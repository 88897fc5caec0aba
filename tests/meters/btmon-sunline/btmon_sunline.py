# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes the lines of text that Sunline's meters send: SUN,serial,seconds,volts,Ws."""

import re

from btcore import Channel, Damaged, Format, Incomplete, Packet, hookimpl, plugin

START = b"SUN,"
LINE = re.compile(rb"SUN,(\d{1,10}),(\d{1,9}),(\d{1,3}\.\d|-),(\d{1,12})\r?\n")
LONGEST = 50


def unpack(raw: bytes) -> tuple[float | None, ...]:
    """Return the numbers of a line, in the order of the labels."""
    _, _, secs, volts, energy = raw.strip().split(b",")
    return int(secs), None if volts == b"-" else float(volts), int(energy)


SUNLINE = Format(
    name="sunline",
    labels=("secs", "volts", "pv1_ws"),
    channels=(Channel("pv1", absolute="pv1_ws", directional=False),),
    unpack=unpack,
    seconds_bits=29,
)


@plugin(api=1)
class Sunline:
    """Decodes the lines of Sunline's meters."""

    header = START
    packet_formats = (SUNLINE,)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Look for a line at the start of the buffer."""
        beginning = bytes(buffer[:LONGEST])
        if not START.startswith(beginning[: len(START)]):
            return None
        line, end, _ = beginning.partition(b"\n")
        if not end:
            return Incomplete() if len(beginning) < LONGEST else Damaged("a line without an end")
        found = LINE.fullmatch(line + end)
        if found is None:
            return Damaged("not a complete line", size=len(line + end))
        return Packet(size=len(line + end), format=SUNLINE, serial=found[1].decode(), raw=line + end)
