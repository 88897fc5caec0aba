# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of virtual channels, with a real journal: what it yields, and how it goes on after a restart."""

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from threading import Event

import attrs
import pytest
from helpers.journal_entries import ecm1240_entries
from helpers.packets import DECODERS

from btcore import Context, Reading, SourceCheckpoint
from btcore.journal import Entry, Journal
from btcore.journal.memory import MemoryJournal
from btcore.virtual.collector import Collector
from btcore.virtual.counting import SOURCE, Terms, VirtualChannel

ONE, OTHER = "312345", "420467"
START = 1_700_000_000


def channel(name: str = "rest", **factors: float) -> VirtualChannel:
    """Define a virtual channel: of the channels of one meter, or of `OTHER_…`."""
    terms = {}
    for key, factor in factors.items():
        serial, _, label = key.rpartition("_")
        terms[OTHER if serial else ONE, label] = Fraction(factor)
    return VirtualChannel(name, Terms(terms))


REST = channel(ch1=1, aux1=-2)
BOTH = channel("both", ch1=1, other_ch1=1)


def run(journal: Journal, *channels: VirtualChannel, until: int | None = None) -> list[Reading]:
    """Read all of a journal, and keep the checkpoints as the core does; crash after so many readings."""
    collector = Collector(channels, journal, DECODERS)
    stop = Event()
    stop.set()
    collector.open(Context("channels", logging.getLogger("x"), checkpoint=journal.source_checkpoint(SOURCE), once=True))
    found: list[Reading] = []
    for item in collector.collect(stop):
        if isinstance(item, SourceCheckpoint):
            journal.commit_source(SOURCE, item.state)
            continue
        found.append(item)
        if until is not None and len(found) >= until:
            break
    collector.close()
    return found


def put(journal: Journal, entries: Iterator[Entry] | Sequence[Entry]) -> None:
    """Put entries into a journal."""
    assert journal.append(list(entries)).rest == []


@pytest.fixture
def journal() -> MemoryJournal:
    """Make an empty journal."""
    return MemoryJournal()


def numbers(readings: Sequence[Reading]) -> list[tuple[float | None, ...]]:
    """Return the seconds and the two counters of readings."""
    return [reading.numbers for reading in readings]


def test_a_reading_for_each_of_the_meter_s(journal: MemoryJournal) -> None:
    """Where all parts are of one meter, its readings have the meter's times and seconds, and the net of the parts."""
    put(journal, ecm1240_entries(30))
    readings = run(journal, REST)
    assert [reading.timestamp - START for reading in readings] == [0, 10, 20, 30]
    assert numbers(readings) == [(0, 0, 0), (10, 11_000, 0), (20, 22_000, 0), (30, 33_000, 0)]
    assert {reading.serial for reading in readings} == {"rest"}


def test_export_counts_apart(journal: MemoryJournal) -> None:
    """An interval in which more is given than taken counts as export."""
    put(journal, ecm1240_entries(20))
    assert numbers(run(journal, channel(ch1=-1)))[-1] == (20, 30_000, 30_000)


def test_a_gap_and_a_restart_of_the_meter_lose_nothing(journal: MemoryJournal) -> None:
    """Over a gap the energy is exact; after a restart with counters at zero, what was counted since is added."""
    entries = list(ecm1240_entries(100))
    put(journal, [*entries[:3], *entries[7:]])  # 40 s are missing
    put(journal, ecm1240_entries(20, start=START + 500, up=90))
    put(journal, [])
    readings = run(journal, channel(ch1=1))
    assert numbers(readings)[-1][1] == 1500 * 100 + 1500 * 20


def test_two_meters_that_send_at_times_of_their_own(journal: MemoryJournal) -> None:
    """Of two meters, the readings are at the times of the first, with the energy that the second had until then."""
    entries = [*ecm1240_entries(60), *ecm1240_entries(60, 12, OTHER, START + 3, watts=100)]
    put(journal, sorted(entries, key=lambda entry: entry.key))
    readings = run(journal, BOTH)
    assert [reading.timestamp - START for reading in readings] == [0, 10, 20, 30, 40, 50, 60]
    assert [aws for _, aws, _ in numbers(readings)] == [15_00 * at + 100 * max(at - 3, 0) for at in range(0, 61, 10)]


def test_a_meter_that_is_silent_is_waited_for(journal: MemoryJournal) -> None:
    """While one of two meters is silent nothing is yielded; then all of it is, with the energy of both."""
    put(journal, [*ecm1240_entries(0), *ecm1240_entries(0, serial=OTHER)])
    put(journal, list(ecm1240_entries(5000))[1:])
    assert run(journal, BOTH) == []
    put(journal, list(ecm1240_entries(6000, 6000, OTHER, watts=100))[1:])
    readings = run(journal, BOTH)
    assert readings[-1].timestamp - START == 5000
    assert numbers(readings)[-1] == (5000, 1600 * 5000, 0)


@pytest.mark.parametrize("until", [1, 2, 37, 60, 99])
def test_after_a_crash_it_yields_the_same_again(journal: MemoryJournal, until: int) -> None:
    """What is yielded again after a crash has the same times and numbers, and then it goes on: nothing is missing."""
    entries = [*ecm1240_entries(1000), *ecm1240_entries(1000, 7, OTHER, START + 3)]
    entries.sort(key=lambda entry: entry.key)
    put(journal, entries[:150])
    expected = MemoryJournal()
    put(expected, entries)
    before = run(journal, BOTH, REST, until=until)
    put(journal, entries[150:])
    after = run(journal, BOTH, REST)
    found = {(one.serial, one.key): one.numbers for one in [*before, *after]}
    assert found == {(one.serial, one.key): one.numbers for one in run(expected, BOTH, REST)}


def test_it_goes_on_behind_what_it_has_read(journal: MemoryJournal) -> None:
    """After a restart only what is new is read."""
    entries = list(ecm1240_entries(200))
    put(journal, entries[:10])
    first = run(journal, REST)
    put(journal, entries[10:])
    assert len(run(journal, REST)) == len(entries) - len(first)
    assert run(journal, REST) == []


def test_a_channel_that_is_new_begins_with_what_the_journal_has(journal: MemoryJournal) -> None:
    """A virtual channel that is added later gets the whole history, and the others nothing twice."""
    entries = list(ecm1240_entries(2000))
    put(journal, entries[:100])
    run(journal, REST)
    put(journal, entries[100:])
    found = run(journal, REST, channel("house", ch1=1))
    assert sum(one.serial == "house" for one in found) == len(entries)
    assert sum(one.serial == "rest" for one in found) == len(entries) - 100


def test_an_expression_that_changes_lets_no_counter_fall(journal: MemoryJournal) -> None:
    """After the expression was changed, the counters go on from where they were."""
    entries = list(ecm1240_entries(200))
    put(journal, entries[:11])
    last = numbers(run(journal, channel(ch1=1)))[-1]
    put(journal, entries[11:])
    first = numbers(run(journal, channel(ch1=0.125)))[0]
    assert (last[1], first[1]) == (150_000, 150_000 + 15_000 // 8)


def test_a_channel_without_meter_is_that_of_the_first_meter(journal: MemoryJournal) -> None:
    """`2 * ch1` is of the meter that is heard first; another one is not added to it."""
    put(journal, [*ecm1240_entries(20), *ecm1240_entries(20, serial=OTHER, start=START + 1)])
    readings = run(journal, VirtualChannel("twice", Terms({("", "ch1"): Fraction(2)})))
    assert numbers(readings)[-1] == (20, 60_000, 0)


def test_its_own_readings_are_none_of_its_parts(journal: MemoryJournal) -> None:
    """A virtual channel may have the name of a part's meter by mistake: its own readings are left out."""
    put(journal, [attrs.evolve(one, source=SOURCE) for one in ecm1240_entries(20)])
    assert run(journal, REST) == []


def test_the_journal_keeps_what_it_has_not_read(journal: MemoryJournal) -> None:
    """Its checkpoint as a sink is never behind which it would have to read again."""
    put(journal, ecm1240_entries(100))
    run(journal, REST)
    run(journal, REST)
    checkpoint = journal.checkpoint(SOURCE)
    assert checkpoint is not None
    assert checkpoint.offset <= journal.newest()
