# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings that all workers share: the same entry, and no other."""

import attrs

from btcore import FORMATS, pack
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry
from btcore.journal.shared_readings import SIZE, SharedReadings
from btcore.records import from_microseconds

KEY = 1_767_225_600_000_000


def entry_of(raw: bytes, offset: int = 1) -> Entry:
    """Make the journal entry of a packet."""
    return Entry(KEY, "panel", "355555", "ecm1240bin", raw, offset=offset)


def two_workers() -> list[Decoders]:
    """Return the decoders of two sinks, opened."""
    first = Decoders([Brultech()])
    both = [first, first.for_worker(first._log)]
    for one in both:
        one.open()
    return both


def test_two_sinks_are_given_the_same_reading() -> None:
    """An entry is recalled once; whoever reads it then is given the same reading, and so are equal entries."""
    one, other = two_workers()
    entry = entry_of(pack("ecm1240bin", "355555", {"secs": 7}))
    reading = one.read_entry(entry)
    assert reading is not None
    assert other.read_entry(attrs.evolve(entry)) is reading


def test_another_entry_at_the_same_place_has_its_own_reading() -> None:
    """An entry with another time, another meter or another packet is recalled by itself, whatever its offset."""
    one, other = two_workers()
    entry = entry_of(pack("ecm1240bin", "355555", {"secs": 7}))
    assert one.read_entry(entry) is not None
    later = other.read_entry(attrs.evolve(entry, key=KEY + 5))
    assert later is not None
    assert later.time == from_microseconds(KEY + 5)
    next_one = other.read_entry(entry_of(pack("ecm1240bin", "355555", {"secs": 8}), 1 + SIZE))
    assert next_one is not None
    assert next_one.seconds == 8


def test_a_packet_that_came_in_is_not_decoded_again() -> None:
    """The bytes that a source has taken a packet of have its numbers; equal bytes of elsewhere are decoded."""
    shared, raw = SharedReadings(), pack("ecm1240bin", "355555", {"secs": 7})
    source = Decoders([Brultech()], shared=shared)
    source.open()
    packet = source.decode(memoryview(raw))
    found = shared.packet_of(entry_of(packet.raw))  # type: ignore[union-attr] # it is a packet
    assert found is packet
    assert shared.packet_of(entry_of(bytes(bytearray(raw)))) is None
    assert shared.packet_of(attrs.evolve(entry_of(packet.raw), format="ecm1220bin")) is None  # type: ignore[union-attr]


def test_a_packet_of_our_own_formats_is_read_as_the_decoder_reads_it() -> None:
    """What is read by the name of a format is what the decoder finds; bytes that are no such packet are not read."""
    for name, form in FORMATS.items():
        raw = pack(name, "355555" if form.family == "ecm" else "00155555", {"secs": 70_000, "ch1_aws": 1 << 39})
        (decoders, _) = two_workers()
        entry = attrs.evolve(entry_of(raw), format=name)
        reading = decoders.read_entry(entry)
        assert reading is not None
        assert (reading.format, reading.values) == (form, dict(zip(form.labels, form.numbers(raw), strict=True)))
        broken = attrs.evolve(entry, raw=raw[:-1] + bytes([raw[-1] ^ 1]), offset=2)
        assert decoders.read_entry(broken) is None
