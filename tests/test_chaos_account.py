# SPDX-License-Identifier: GPL-3.0-or-later
"""The account at the end of a chaos trial finds what must not be: it is given histories with one thing wrong."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs
import pytest
from chaos.audit import Facts, Kept, expected_slots, settle
from chaos.meters import Meter, Packet, add_up, make_meters, net
from chaos.schedule import KINDS, make_schedule
from chaos.stores import Stored

from btcore import FORMATS

PACKETS = 200


def meters() -> list[Meter]:
    """Return meters that have sent, and of which one has restarted."""
    found = make_meters(3, seed=5, step=50)
    for number in range(PACKETS):
        for meter in found:
            meter.next()
        if number == PACKETS // 2:
            found[1].restart()
    return found


def facts() -> Facts:
    """Return what there is where all is well: two sinks have everything, and one is excused for nothing."""
    made = meters()
    packets = [packet for meter in made for packet in meter.packets.values()]
    kept = [Kept(packet.serial, 10_000_000 * number, packet.raw) for number, packet in enumerate(packets)]
    energy = {
        (meter.serial, channel): float(count)
        for meter in made
        for channel, count in net(add_up([*meter.packets.values()])).items()
    }
    first = {meter.serial: next(iter(meter.packets)) for meter in made}
    all_of_them = Counter((one.serial, one.key) for one in kept)
    with_sample = Counter((one.serial, one.key) for one in kept if one.raw != first[one.serial])
    return Facts(
        packets=packets,
        sent={packet.raw: [float(number)] for number, packet in enumerate(packets)},
        excused=[],
        kept=kept,
        stored={"counters": Stored(all_of_them), "samples": Stored(with_sample, energy)},
        dead_letters={},
        dropped={},
        lost=0,
        uncounted=0,
    )


def with_stored(given: Facts, sink: str, readings: Mapping[tuple[str, int], int], energy: float = 0.0) -> Facts:
    """Return facts in which a sink has so many of some readings more or less, and so many Ws more or less."""
    old = given.stored[sink]
    found = Counter({one: old.readings[one] + readings.get(one, 0) for one in {*old.readings, *readings}})
    energies = {of: value + (energy if of == next(iter(old.energy)) else 0) for of, value in old.energy.items()}
    new = Stored(+found, energies)
    return attrs.evolve(given, stored={**given.stored, sink: new})


def wrong(given: Facts) -> str:
    """Return what is wrong, as one text."""
    return "; ".join(settle(given).wrong)


def test_where_all_is_well_nothing_is_wrong() -> None:
    """A history in which everything is delivered once is good."""
    assert wrong(facts()) == ""


def test_a_batch_that_a_sink_drops_is_found() -> None:
    """Ten readings that a sink took and did not store are missing."""
    given = facts()
    batch = {(one.serial, one.key): -1 for one in given.kept[50:60]}
    assert "counters: 10 readings are missing" in wrong(with_stored(given, "counters", batch))


def test_a_reading_that_is_stored_twice_is_found() -> None:
    """A sink that stores by serial number and key has none twice."""
    given = facts()
    assert "counters: 1 readings are there twice" in wrong(
        with_stored(given, "counters", {(given.kept[7].serial, given.kept[7].key): 1})
    )


def test_a_reading_that_the_journal_does_not_have_is_found() -> None:
    """A sink cannot have what was never kept."""
    assert "the journal does not have" in wrong(with_stored(facts(), "counters", {("01010000", 5): 1}))


def test_a_watt_second_that_is_missing_is_found() -> None:
    """The energy of each channel is what its counters moved, to the watt-second."""
    assert "is wrong by 1.00 Ws" in wrong(with_stored(facts(), "samples", {}, energy=-1.0))


def test_a_packet_that_the_program_did_not_keep_is_found() -> None:
    """What was sent to a running program is in the journal; what was sent while it did not run need not be."""
    given = facts()
    number = 77
    without = attrs.evolve(given, kept=[one for one in given.kept if one.raw != given.packets[number].raw])
    assert "1 packets were sent to a running program" in wrong(without)
    excused = attrs.evolve(without, excused=[(number - 0.5, number + 0.5)])
    assert "running program" not in wrong(excused)


def test_a_dead_letter_is_accounted_for() -> None:
    """A reading that a sink refused is not missing."""
    given = facts()
    identity = (given.kept[9].serial, given.kept[9].key)
    without = with_stored(given, "counters", {identity: -1})
    assert wrong(attrs.evolve(without, dead_letters={"counters": {identity}})) == ""


def test_a_slot_of_five_minutes_that_is_wrong_is_found() -> None:
    """PVOutput's counter is compared in each slot; one that is missing is found too."""
    given = attrs.evolve(facts(), slots={}, slots_of=make_meters(1, 5, 50)[0].serial)
    expected = expected_slots(given, {packet.raw: packet for packet in given.packets})
    slots = {end: round(count) for end, count in sorted(expected.items())}
    assert wrong(attrs.evolve(given, slots=slots)) == ""
    middle = sorted(slots)[len(slots) // 2]
    assert f"slot {middle} has" in wrong(attrs.evolve(given, slots={**slots, middle: slots[middle] + 2}))
    assert f"slot {middle} is missing" in wrong(
        attrs.evolve(given, slots={end: count for end, count in slots.items() if end != middle})
    )
    newest = max(one.key for one in given.kept if one.serial == given.slots_of)
    due = [end for end in slots if end * 1_000_000 + 60_000_000 <= newest]
    assert len(slots) - len(due) in (1, 2)
    assert wrong(attrs.evolve(given, slots={end: slots[end] for end in due})) == ""
    assert f"slot {due[-1]} is missing" in wrong(attrs.evolve(given, slots={end: slots[end] for end in due[:-1]}))


def test_the_same_seed_makes_the_same_schedule_and_the_same_packets() -> None:
    """A failure is replayed from its seed: faults and packets are all of it; another seed has others."""
    names = ("mariadb", "influxdb")
    assert make_schedule(3, 600, names, pause=4) == make_schedule(3, 600, names, pause=4)
    assert make_schedule(3, 600, names, pause=4) != make_schedule(4, 600, names, pause=4)
    assert [[*meter.packets] for meter in meters()] == [[*meter.packets] for meter in meters()]


def test_every_kind_of_fault_comes_within_ten_minutes() -> None:
    """No seed leaves a kind of fault out."""
    for seed in range(20):
        assert {fault.kind for fault in make_schedule(seed, 600, (), pause=4)} == set(KINDS)


def shows_an_overflow(packets: Sequence[Packet], label: str) -> bool:
    """Whether a counter has fallen without a restart."""
    return any(
        newer.shown[label] < older.shown[label] and newer.restarts == older.restarts
        for older, newer in pairwise(packets)
    )


@pytest.mark.parametrize("label", ["ch1_aws", "ch1_pws", "ch2_aws"])
def test_the_counters_of_every_meter_overflow(label: str) -> None:
    """The energy that is expected spans an overflow of each counter, and of the seconds."""
    for meter in make_meters(4, seed=9, step=50):
        for _ in range(400):
            meter.next()
        packets = [*meter.packets.values()]
        assert shows_an_overflow(packets, label)
        seconds = FORMATS[meter.format].index["secs"]
        shown = [FORMATS[meter.format].unpack(packet.raw)[seconds] or 0 for packet in packets]
        assert min(shown) < 50 * 400 < max(shown)
