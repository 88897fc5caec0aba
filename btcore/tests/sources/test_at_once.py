# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets that come in at once: what is the same for all of them is done once, and each has the entry it would have."""

from datetime import timedelta
from itertools import accumulate

from helpers.packets import METER, OTHER_METER, packet
from helpers.property_tests import hundred_examples
from helpers.running_source import collect_items
from helpers.times import NOON
from hypothesis import given
from hypothesis import strategies as st

from btcore import Chunk
from btcore.journal import Entry
from btcore.journal.memory import MemoryJournal

numbered = st.tuples(st.sampled_from([METER, OTHER_METER]), st.integers(0, 3))


def kept(*chunks: Chunk) -> list[Entry]:
    """Return what the journal has of these chunks."""
    journal = MemoryJournal()
    collect_items(journal, *chunks)
    return list(journal.read(0, 100))


@hundred_examples
@given(st.lists(st.lists(numbered, min_size=1, max_size=5), max_size=4))
def test_packets_at_once_are_kept_as_one_by_one(groups: list[list[tuple[str, int]]]) -> None:
    """Whatever meters they are of, the packets of one chunk have the same entries as in a chunk of their own each."""
    sent = [[packet(serial, secs, 7 * secs) for serial, secs in group] for group in groups]
    at_once = [Chunk(b"".join(group), time=NOON) for group in sent]
    assert kept(*at_once) == kept(*(Chunk(one, time=NOON) for group in sent for one in group))


@hundred_examples
@given(st.lists(numbered, max_size=12), st.lists(st.sampled_from([-5, 0, 1, 7, 400]), min_size=12, max_size=12))
def test_packets_of_a_recording_are_kept_as_one_by_one(sent: list[tuple[str, int]], gaps: list[int]) -> None:
    """Each packet of a block has a time of its own, and the same entry as in a block of its own."""
    times = [NOON + timedelta(seconds=after) for after in accumulate(gaps)]
    packets = [packet(serial, secs, 7 * secs) for serial, secs in sent]
    clock = iter(times)
    assert kept(Chunk(b"".join(packets), clock=iter(times))) == kept(*(Chunk(one, clock=clock) for one in packets))
