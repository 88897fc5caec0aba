# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a message goes: the stream's name, the partition of its meters, and who publishes it.

`energy.007.house-1`: the server lets a publisher use subjects with its own name alone, and a reader takes whole
partitions. All readings of a meter are in one partition, so their order is that of the stream.
"""

import re
import zlib

PARTITIONS = 16
"""Partitions of a stream, unless said otherwise."""

MAX_PARTITIONS = 1000
"""The numbers of partitions have three digits."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""The name of a stream, or of a publisher: a part of a subject."""


def partition_of(serial: str, partitions: int) -> int:
    """Return the partition of a meter, the same for ever: from 0 on."""
    return zlib.crc32(serial.encode()) % partitions


def subject_of(stream: str, partition: int, publisher: str) -> str:
    """Return the subject of a message."""
    return f"{stream}.{partition:03}.{publisher}"


def publisher_of(subject: str) -> str:
    """Return who published a message."""
    return subject.rpartition(".")[2]


def all_subjects(stream: str) -> str:
    """Return what a stream listens to."""
    return f"{stream}.*.*"


def subjects_of(stream: str, partition: int | None) -> str:
    """Return the subjects of one partition; None: of all."""
    return all_subjects(stream) if partition is None else f"{stream}.{partition:03}.*"


def check_name(_instance: object, _attribute: object, name: str) -> None:
    """Raise ValueError for what cannot be a part of a subject; for a setting."""
    if not NAME.fullmatch(name):
        raise ValueError(f"expected letters, digits, - and _, found {name!r:.80}")
