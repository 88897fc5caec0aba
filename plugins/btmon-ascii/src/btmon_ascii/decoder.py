# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoder `ascii`, and the search for a packet in a text that came by itself, such as the body of a request."""

import re

from btcore import Damaged, Incomplete, Packet, hookimpl, plugin
from btmon_ascii.ascii_wh import ASCII_WH
from btmon_ascii.cosm import COSM
from btmon_ascii.emon import EMON
from btmon_ascii.http_get import HTTP_GET
from btmon_ascii.seg import SEG
from btmon_ascii.texts import MAX_SIZE, Text

TEXTS: tuple[Text, ...] = (ASCII_WH, HTTP_GET, SEG, EMON, COSM)

CANDIDATES = re.compile(b"|".join(b"(?:%b)" % text.candidate for text in TEXTS), re.DOTALL)
"""Matches where a text may begin."""


@plugin(api=1)
class Ascii:
    """Decodes the packet formats of a GEM that are text: ASCII with Wh, HTTP GET, SEG, Emon and COSM."""

    header = tuple(text.header for text in TEXTS)
    candidate = CANDIDATES.pattern
    packet_formats = tuple(text.format for text in TEXTS)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        """Look for a packet at the start of the buffer."""
        data = bytes(buffer[:MAX_SIZE])
        for text in TEXTS:
            if data.startswith(text.header) or text.header.startswith(data):
                return text.look(data)
        return None


def find_packet(data: bytes) -> Packet | None:
    """Return the first complete packet in some bytes that were sent as one; None if there is none."""
    for found in CANDIDATES.finditer(data):
        text = next(one for one in TEXTS if found[0].startswith(one.header))
        answer = text.look(data[found.start() : found.start() + MAX_SIZE] + b"\n")
        if isinstance(answer, Packet):
            return answer
    return None
