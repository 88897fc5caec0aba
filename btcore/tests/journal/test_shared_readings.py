# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings that all workers share: the same entry, and no other."""

import weakref
from typing import Any

import attrs
import pytest

from btcore import FORMATS, Packet, pack
from btcore.config.meters import Meters
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry
from btcore.journal.shared_readings import HELD, SIZE, SPARE, SharedReadings
from btcore.records import from_microseconds, is_known_to_continue, reading_of
from btcore.sources.identity import Identities

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


def taken(shared: SharedReadings, secs: list[int]) -> list[Entry]:
    """Let a source take packets, and follow them; return their entries."""
    source = Decoders([Brultech()], shared=shared)
    source.open()
    identities, entries = Identities(Meters(), lambda _notice: None), []
    for offset, second in enumerate(secs, 1):
        packet = source.decode(memoryview(pack("ecm1240bin", "355555", {"secs": second, "ch1_aws": 100 * second})))
        assert isinstance(packet, Packet)
        key = KEY + second * 1_000_000
        reading = reading_of(packet, from_microseconds(key), "355555", "panel", identities.next_offset(), key, 7)
        identities.name(reading)
        source.add_taken([reading])
        entries.append(attrs.evolve(entry_of(packet.raw, offset), key=key, monotonic=key, boot=7))
    return entries


def test_what_a_source_has_found_out_all_sinks_know() -> None:
    """A reading of which its source knows that the meter continued is known to continue, and from no other reading."""
    shared = SharedReadings()
    entries = taken(shared, [10, 20, 30])
    sink = Decoders([Brultech()], shared=shared)
    sink.open()
    first, second, third = (sink.read_entry(one) for one in entries)
    assert first is not None
    assert second is not None
    assert third is not None
    assert is_known_to_continue(second, first)
    assert is_known_to_continue(third, second)
    assert not is_known_to_continue(third, first)
    assert not is_known_to_continue(first, third)


@pytest.mark.parametrize(
    "change",
    [{"key": KEY + 20_000_001}, {"monotonic": 1}, {"boot": -7}, {"source": "other"}, {"address": "10.0.0.9"}],
)
def test_a_reading_of_another_time_or_way_is_examined(change: dict[str, Any]) -> None:
    """Where the journal has a reading at another time than its source, or from elsewhere, nothing is known of it."""
    shared = SharedReadings()
    first_entry, second_entry = taken(shared, [10, 20])
    sink = Decoders([Brultech()], shared=shared)
    sink.open()
    first, second = sink.read_entry(first_entry), sink.read_entry(attrs.evolve(second_entry, **change))
    assert first is not None
    assert second is not None
    assert not is_known_to_continue(second, first)


FIELDS = ("time", "key", "format", "serial", "raw", "numbers", "source", "offset", "monotonic", "boot", "address")


@pytest.mark.parametrize("change", [{}, {"origin": "recorded"}, {"offset": 9}])
def test_a_reading_of_its_source_is_that_of_its_bytes(change: dict[str, Any]) -> None:
    """A reading that is taken from its source is, in all that it says, the one that is made of the entry alone."""
    shared = SharedReadings()
    entry = attrs.evolve(taken(shared, [10])[0], **change)
    sink, alone = Decoders([Brultech()], shared=shared), Decoders([Brultech()])
    for one in (sink, alone):
        one.open()
    found, made = sink.read_entry(entry), alone.read_entry(entry)
    assert [getattr(found, name) for name in (*FIELDS, "origin")] == [
        getattr(made, name) for name in (*FIELDS, "origin")
    ]


def test_what_no_sink_reads_is_forgotten() -> None:
    """However many packets come in that nobody reads, a bounded number is remembered, the last ones."""
    shared = SharedReadings()
    entries = taken(shared, list(range(1, SIZE + 100)))
    assert shared.packet_of(entries[0]) is None
    assert shared.packet_of(entries[-1]) is not None
    assert SIZE - SPARE <= len(shared._taken) <= SIZE


def test_a_reading_is_kept_for_as_long_as_a_sink_has_it() -> None:
    """Of older readings only those that somebody still has are shared; none is kept for nobody."""
    decoders, other = two_workers()
    entries = [attrs.evolve(entry_of(packet_of(number)), offset=number + 1) for number in range(2 * HELD)]
    first, second, *_ = decoders.read_entries(entries)
    gone = weakref.ref(second)
    del second, _
    assert other.read_entry(entries[0]) is first
    assert gone() is None
    assert other.read_entry(entries[1]) is not None


def packet_of(number: int) -> bytes:
    """Make the packet of an ECM-1240."""
    return pack("ecm1240bin", "355555", {"secs": 7 + number})
