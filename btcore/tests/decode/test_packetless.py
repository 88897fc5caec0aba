# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings without a packet in the journal: what is written is read again, also what an earlier version wrote."""

import json

import attrs
import pytest
from helpers.running_source import PACKETLESS
from helpers.times import NOON, NOON_KEY

from btcore import FORMATS, Format, Reading
from btcore.calculate.transition import comparable
from btcore.decode.packetless import decode_reading, encode_reading
from btcore.formats import Number
from btcore.journal import Entry


def example(form: Format) -> Reading:
    """Make a reading with a number of each kind."""
    some: list[Number] = [7 if label == "secs" else (None, n, n / 3)[n % 3] for n, label in enumerate(form.labels)]
    return Reading(NOON, form, "1", b"", numbers=tuple(some))


def earlier(reading: Reading) -> bytes:
    """Return the bytes that an earlier version wrote: the numbers in the middle."""
    form = reading.format
    record = {
        "labels": form.labels,
        "numbers": reading.numbers,
        "channels": [attrs.astuple(channel) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset": [form.reset_label, form.reset_mask],
    }
    return json.dumps(record, separators=(",", ":")).encode()


@pytest.mark.parametrize("form", [*FORMATS.values(), PACKETLESS], ids=lambda form: form.name)
def test_a_reading_is_read_as_it_was_written(form: Format) -> None:
    """Numbers, labels, channels and all that a format says come back; two entries of a format share one Format."""
    reading = example(form)
    entries = [Entry(NOON_KEY, "old", "1", form.name, raw, packetless=True) for raw in [encode_reading(reading)] * 2]
    again, other = (decode_reading(entry, NOON, "1") for entry in entries)
    assert (again.numbers, again.format.labels, again.format.channels) == (reading.numbers, form.labels, form.channels)
    assert (again.format.seconds_bits, again.format.reset_label, again.format.family) == (
        *(form.seconds_bits, form.reset_label, form.family),
    )
    assert again.format is other.format
    assert json.loads(entries[0].raw)["numbers"] == list(reading.numbers)


def test_what_an_earlier_version_wrote_is_read() -> None:
    """An entry with its numbers in the middle, and without a family, is the same reading."""
    reading = example(PACKETLESS)
    entry = Entry(NOON_KEY, "old", "1", "meter", earlier(reading), packetless=True)
    assert decode_reading(entry, NOON, "1").numbers == reading.numbers
    assert decode_reading(entry, NOON, "1").format.channels == PACKETLESS.channels


def test_an_entry_with_the_whole_description_is_read_as_one_of_the_same_format() -> None:
    """What an earlier version wrote of a known format, and what this one writes, have one Format: samples go on."""
    reading = example(FORMATS["gem48ptbin"])
    raws = (earlier(attrs.evolve(reading)), encode_reading(reading))
    old, new = (decode_reading(Entry(1, "old", "1", "gem48ptbin", raw, packetless=True), NOON, "1") for raw in raws)
    assert comparable(old.format, new.format)
    assert (old.numbers, new.numbers) == (reading.numbers, reading.numbers)


KNOWN = {
    "ecm1220bin": "7823e187",
    "ecm1240bin": "f43c7b15",
    "gem48pbin": "651da2cd",
    "gem48ptbin": "651da2cd",
    "gem48abin": "54df1225",
    "gem32pbin": "7121490b",
    "gem32abin": "153d83ca",
}
"""In the journals of those who have imported something. A format that changes needs another name."""


def test_the_known_formats_stay_what_they_are() -> None:
    """The description of a known format never changes: an entry has its checksum alone."""
    assert {name: json.loads(encode_reading(example(form)))["known"] for name, form in FORMATS.items()} == KNOWN


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("gem48ptbin", '{"known":"00000000","numbers":[1]}', "not the one that this version of btcore knows"),
        ("gem99", '{"known":"651da2cd","numbers":[1]}', "not the one that this version of btcore knows"),
        ("gem48ptbin", '{"known":"651da2cd","numbers":[1,2]}', "2 numbers for the 158 labels"),
    ],
)
def test_an_entry_of_another_format_is_refused(name: str, raw: str, why: str) -> None:
    """A format that is not known, or has changed, is never taken for one that is."""
    with pytest.raises(ValueError, match=why):
        decode_reading(Entry(1, "old", "1", name, raw.encode(), packetless=True), NOON, "1")
