# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings without a packet, as the journal keeps them: each entry describes its own format.

A source of such readings (a database) is not asked when they are read from the journal, so the entry has all of the
format but what unpacks a packet. Of a format of Brultech it has the checksum of that: 1 kB instead of 4.5 for a GEM,
and the year of one that is imported fills 4 GB of the journal's disk instead of 14. Readings with a packet are read by
`decoders.py`.
"""

import json
import zlib
from datetime import datetime
from functools import lru_cache
from typing import Any

from btcore.classes import values_of
from btcore.decode.brultech import FORMATS
from btcore.formats import Channel, Format, Number
from btcore.journal import Entry
from btcore.records import Reading, trusted_reading

MAX_FORMATS = 1024
"""Formats that are remembered. Above it, a format is made anew, and two readings across that give no sample."""


NUMBERS = ',"numbers":['
"""What stands between the description of a format and the numbers, which are the end of an entry."""


def encode_reading(reading: Reading) -> bytes:
    """Return the bytes that the journal keeps of a reading without a packet."""
    form = reading.format
    description = _describe_known(form) if FORMATS.get(form.name) is form else _describe(form)
    return f'{description},"numbers":{_encode(reading.numbers)}}}'.encode()


def decode_reading(entry: Entry, time: datetime, serial: str) -> Reading:
    """Return the reading of such an entry, with this time and serial number.

    Raises ValueError, KeyError or TypeError for an entry that `encode_reading` did not make.
    """
    description, numbers = _split(entry.raw.decode())
    form = _format(entry.format, description)
    more = (entry.offset, entry.monotonic, entry.boot, entry.address, entry.origin)
    if len(numbers) != len(form.labels):
        raise ValueError(f"{len(numbers)} numbers for the {len(form.labels)} labels of format {form.name}")
    return trusted_reading(numbers, time, form, serial, entry.raw, entry.source, *more)


def _split(text: str) -> tuple[str, tuple[Number, ...]]:
    """Return the description of the format, which is the same text for all entries of a meter, and the numbers."""
    description, found, numbers = text.rpartition(NUMBERS)
    if found and '"' not in numbers:
        return description + "}", tuple(json.loads("[" + numbers.removesuffix("}")))
    record: dict[str, Any] = json.loads(text)  # of an earlier version: the numbers are in the middle
    numbers_in_record = tuple(record.pop("numbers"))
    return json.dumps(record, separators=(",", ":")), numbers_in_record


_encode = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=MAX_FORMATS)
def _describe_known(form: Format) -> str:
    """Return the checksum of the description of a format that every btcore knows, as JSON without its end."""
    return f'{{"known":"{zlib.crc32(_describe(form).encode()):08x}"'


@lru_cache(maxsize=MAX_FORMATS)
def _describe(form: Format) -> str:
    """Return the description of a format, as JSON without its end."""
    record = {
        "labels": form.labels,
        "channels": [list(values_of(channel).values()) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset": [form.reset_label, form.reset_mask],
        "family": form.family,
    }
    return json.dumps(record, separators=(",", ":")).removesuffix("}")


@lru_cache(maxsize=MAX_FORMATS)
def _format(name: str, description: str) -> Format:
    """Return one Format for all entries with the same description, as formats are compared by identity."""
    record: dict[str, Any] = json.loads(description)
    if "known" in record:
        known = FORMATS.get(name)
        if known is None or description != _describe_known(known) + "}":
            raise ValueError(f"format {name} is not the one that this version of btcore knows")
        return _format(name, _describe(known) + "}")
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
