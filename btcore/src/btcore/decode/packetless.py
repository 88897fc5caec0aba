"""Readings that came without a packet, as the journal keeps them: each describes itself.

A source of whole readings (a database) is not asked again when they are recalled, so all of their format is kept, but
for what only a packet needs.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from btcore.formats import Channel, Format
from btcore.journal import Entry
from btcore.records import Reading

MOST_DESCRIPTIONS = 1024
"""Formats of whole readings that are remembered; two readings of one that was forgotten give no sample."""


def to_values(reading: Reading) -> bytes:
    """Make bytes for the journal of a whole reading, which came without a packet: it describes itself."""
    form = reading.format
    record = {
        "labels": form.labels,
        "numbers": reading.numbers,
        "channels": [attrs.astuple(channel) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset": [form.reset_label, form.reset_mask],
        "family": form.family,
    }
    return json.dumps(record, separators=(",", ":")).encode()


def from_values(entry: Entry, time: datetime, serial: str) -> Reading:
    """Make the reading of such an entry again, of the meter that is called so.

    Raises ValueError, KeyError or TypeError for what is no such entry.
    """
    record: dict[str, Any] = json.loads(entry.raw)
    numbers = tuple(record.pop("numbers"))
    described = _described(entry.format, json.dumps(record))
    stamps = (entry.offset, entry.monotonic, entry.boot, entry.address, entry.origin)
    return Reading(time, described, serial, entry.raw, entry.source, *stamps, numbers=numbers)


@lru_cache(maxsize=MOST_DESCRIPTIONS)
def _described(name: str, description: str) -> Format:
    """Make one Format for all readings of the same description: formats are compared by identity."""
    record: dict[str, Any] = json.loads(description)
    return Format(
        name=name,
        labels=tuple(record["labels"]),
        channels=tuple(Channel(*channel) for channel in record["channels"]),
        unpack=_packed_elsewhere,
        seconds_bits=record["seconds_bits"],
        reset_label=record["reset"][0],
        reset_mask=record["reset"][1],
        family=record.get("family", ""),
    )


def _packed_elsewhere(_raw: bytes) -> tuple[()]:
    """Stand where a packet's format would unpack it: a whole reading has its numbers from the start."""
    return ()
