# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a remote-write request: protobuf in Snappy's block format. Pure.

https://prometheus.io/docs/specs/prw/remote_write_spec/ has the message, a few fields; ADR 51 says why no library. Data
that Snappy holds as literals alone is valid, and not smaller. A request has the labels of a series once, and 18 bytes
for each of its samples.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from btcore.serve import Labels

Samples = Mapping[int, float]
"""Values of a series by time, in milliseconds since 1970."""

CONTINUES = 0x80
SMALL_LITERAL = 60
LITERAL_BYTES = 1 << 16

DOUBLE_OF_1, VARINT_OF_2 = b"\x09", b"\x10"
"""The keys of a sample's fields: its value, a double in field 1; its time, a varint in field 2."""


def write_request(series: Mapping[Labels, Samples]) -> bytes:
    """Return the message with some series; labels in the order of their names, samples in that of their times."""
    return b"".join(_field(1, _series(labels, samples)) for labels, samples in series.items())


def snappy(data: bytes) -> bytes:
    """Return data in Snappy's block format, as literals."""
    pieces = (data[at : at + LITERAL_BYTES] for at in range(0, len(data), LITERAL_BYTES))
    return varint(len(data)) + b"".join(_literal_tag(len(piece)) + piece for piece in pieces)


def varint(number: int) -> bytes:
    """Return a number from 0 on, seven bits a byte, the lowest first."""
    if number < CONTINUES:
        return bytes([number])
    found = bytearray()
    while number >= CONTINUES:
        found.append(number & 0x7F | CONTINUES)
        number >>= 7
    return bytes([*found, number])


def _series(labels: Labels, samples: Samples) -> bytes:
    named = (_field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels) if value)
    return b"".join([*named, *_samples(samples)])


def _samples(samples: Samples) -> Iterable[bytes]:
    for time, value in sorted(samples.items()):
        yield _field(2, DOUBLE_OF_1 + struct.pack("<d", value) + _time(time))


@lru_cache(maxsize=1024)
def _time(time: int) -> bytes:
    """Return the field of a time: all series of a request have the same ones."""
    return VARINT_OF_2 + varint(time)


def _field(number: int, data: bytes) -> bytes:
    """Return a field that holds bytes: its number and kind, their length, and they."""
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def _literal_tag(length: int) -> bytes:
    if length <= SMALL_LITERAL:
        return bytes([length - 1 << 2])
    size = (length - 1).to_bytes(2, "little")
    return bytes([SMALL_LITERAL + len(size) - 1 << 2]) + size
