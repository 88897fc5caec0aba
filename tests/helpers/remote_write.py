# SPDX-License-Identifier: GPL-3.0-or-later
"""What was in a remote-write request, read independently of what wrote it."""

import struct
from collections.abc import Iterator

import attrs

Fields = Iterator[tuple[int, int | bytes]]


@attrs.frozen
class Written:
    """One series of a request: its labels, in order, and its samples, in order: milliseconds and value."""

    labels: tuple[tuple[str, str], ...]
    samples: tuple[tuple[int, float], ...]


def written(request: bytes) -> list[Written]:
    """Read the body of a remote-write request."""
    return [_series(part) for number, part in fields(unsnapped(request)) if number == 1 and isinstance(part, bytes)]


def _series(data: bytes) -> Written:
    labels: list[tuple[str, str]] = []
    samples: list[tuple[int, float]] = []
    for number, part in fields(data):
        assert isinstance(part, bytes)
        one = dict(fields(part))
        if number == 1:
            labels.append((_bytes(one[1]).decode(), _bytes(one[2]).decode()))
        else:
            samples.append((int(one[2]), struct.unpack("<d", _bytes(one[1]))[0]))
    return Written(tuple(labels), tuple(samples))


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def fields(data: bytes) -> Fields:
    """Read a message of protobuf: numbers as they are, all else as bytes."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
            yield key >> 3, value
            continue
        assert key & 7 in (1, 2)
        length, at = (8, at) if key & 7 == 1 else read_varint(data, at)
        yield key >> 3, data[at : at + length]
        at += length
    assert at == len(data)


def unsnapped(data: bytes) -> bytes:
    """Read Snappy's block format, of which literals alone are expected."""
    size, at = read_varint(data, 0)
    found = bytearray()
    while at < len(data):
        assert data[at] & 3 == 0
        length, at = data[at] >> 2, at + 1
        if length >= 60:
            width = length - 59
            length, at = int.from_bytes(data[at : at + width], "little"), at + width
        found += data[at : at + length + 1]
        at += length + 1
    assert len(found) == size
    return bytes(found)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number; return it and where it ends."""
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return number, at
