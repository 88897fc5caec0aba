# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings without a packet, as the journal keeps them: each entry describes its own format.

A source of such readings (a database) is not asked when they are read from the journal, so the entry has all of the
format but what unpacks a packet. Readings with a packet are read by `decoders.py`.
"""

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from btcore.formats import Channel, Format, Number
from btcore.journal import Entry
from btcore.records import Reading

MAX_FORMATS = 1024
"""Formats that are remembered. Above it, a format is made anew, and two readings across that give no sample."""


NUMBERS = ',"numbers":['
"""What stands between the description of a format and the numbers, which are the end of an entry."""


def encode_reading(reading: Reading) -> bytes:
    """Return the bytes that the journal keeps of a reading without a packet."""
    numbers = json.dumps(reading.numbers, separators=(",", ":"))
    return f'{_describe(reading.format)},"numbers":{numbers}}}'.encode()


def decode_reading(entry: Entry, time: datetime, serial: str) -> Reading:
    """Return the reading of such an entry, with this time and serial number.

    Raises ValueError, KeyError or TypeError for an entry that `encode_reading` did not make.
    """
    description, numbers = _split(entry.raw.decode())
    form = _format(entry.format, description)
    more = (entry.offset, entry.monotonic, entry.boot, entry.address, entry.origin)
    return Reading(time, form, serial, entry.raw, entry.source, *more, numbers=numbers)


def _split(text: str) -> tuple[str, tuple[Number, ...]]:
    """Return the description of the format, which is the same text for all entries of a meter, and the numbers."""
    description, found, numbers = text.rpartition(NUMBERS)
    if found and '"' not in numbers:
        return description + "}", tuple(json.loads("[" + numbers.removesuffix("}")))
    record: dict[str, Any] = json.loads(text)  # of an earlier version: the numbers are in the middle
    numbers_in_record = tuple(record.pop("numbers"))
    return json.dumps(record, separators=(",", ":")), numbers_in_record


@lru_cache(maxsize=MAX_FORMATS)
def _describe(form: Format) -> str:
    """Return the description of a format, as JSON without its end."""
    record = {
        "labels": form.labels,
        "channels": [attrs.astuple(channel) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset": [form.reset_label, form.reset_mask],
        "family": form.family,
    }
    return json.dumps(record, separators=(",", ":")).removesuffix("}")


@lru_cache(maxsize=MAX_FORMATS)
def _format(name: str, description: str) -> Format:
    """Return one Format for all entries with the same description, as formats are compared by identity."""
    record: dict[str, Any] = json.loads(description)
    return Format(
        name=name,
        labels=tuple(record["labels"]),
        channels=tuple(Channel(*channel) for channel in record["channels"]),
        unpack=_no_packet,
        seconds_bits=record["seconds_bits"],
        reset_label=record["reset"][0],
        reset_mask=record["reset"][1],
        family=record.get("family", ""),
    )


def _no_packet(_raw: bytes) -> tuple[()]:
    """Unpack nothing: a reading without a packet is made with its numbers."""
    return ()
