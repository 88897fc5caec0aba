# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams in which packets are found, and the packets of a chosen format that tests put into them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import cast

from hypothesis import settings

from btcore import Packet, pack
from btcore.decode.brultech import LAYOUTS, Brultech, FormatName
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream
from helpers.property_tests import examples

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
BY_NAME = {layout.name: layout for layout in LAYOUTS}
CODES = bytes(sorted({layout.code for layout in LAYOUTS}))
LONGEST = max(layout.size for layout in LAYOUTS)
quick = settings(max_examples=examples(60), deadline=None)


def brultech(*formats: str) -> Stream:
    """Return a stream of Brultech's meters, restricted to these formats."""
    decoder = Brultech()
    decoder.formats = cast("tuple[FormatName, ...]", formats)
    return Decoders([decoder]).stream()


def moment(seconds: int) -> datetime:
    """Return a time."""
    return START + timedelta(seconds=seconds)


def run(stream: Stream, pieces: Sequence[bytes]) -> list[tuple[Packet, datetime]]:
    """Feed pieces, one a second, and close."""
    found = [each for place, piece in enumerate(pieces) for each in stream.feed(piece, moment(place))]
    return found + stream.close()


def raws(found: list[tuple[Packet, datetime]]) -> list[bytes]:
    """Return the bytes of the packets found."""
    return [packet.raw for packet, _ in found]


def synthetic(name: str, seed: int) -> bytes:
    """Make a packet of a meter that measured something."""
    rng = Random(seed)
    layout = BY_NAME[name]
    values = {f"ch{i}_aws": rng.randrange(1 << 40) for i in range(1, layout.channels + 1)}
    return pack(name, "312345", {"volts": 120.9, "secs": rng.randrange(1 << 24), **values})
