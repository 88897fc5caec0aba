# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick way gives the same points as the careful one, or none."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import pytest
from helpers.counter_readings import COUNTER_BITS, Usage, readings_after, usage_histories
from helpers.rrd_files import batch_of, readings_of_values
from hypothesis import given
from hypothesis import strategies as st

from btcore import Batch, Reading
from btmon_rrd.feed import FileState, spans_of
from btmon_rrd.front import Front, front_of
from btmon_rrd.layout import Layout
from btmon_rrd.store import Updates
from btmon_rrd.writer import Writer

DIRECTORY = Path("rrd")


@attrs.define
class MemoryStore:
    """Files of which only their updates are kept."""

    files: dict[str, list[str]] = attrs.field(factory=dict)

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""

    def state(self, path: str) -> FileState | None:
        """Return a file that was just created."""
        kind = "DERIVE" if path.endswith("ws.rrd") else "GAUGE"
        return FileState(0, None, kind, 20) if path in self.files else None

    def create(self, path: str, start: int, step: int, definitions: Sequence[str]) -> None:
        """Create a file."""
        assert start
        assert step
        assert definitions
        self.files[path] = []

    def update(self, updates: Updates) -> set[str]:
        """Keep the updates."""
        for path, points in updates.items():
            self.files[path] += points.split()
        return set()


def written(batches: Iterable[Batch], *, carefully: bool) -> dict[str, list[str]]:
    """Return what is written into files."""
    store = MemoryStore()
    writer = Writer(store, DIRECTORY, Layout(), "counters", "brultech", logging.getLogger("sink.test"))
    for batch in batches:
        if carefully:
            writer._forget(())
        writer.write(batch)
    return store.files


def in_batches(readings: Sequence[Reading], size: int) -> list[Batch]:
    """Return the batches of readings; the samples go on from batch to batch."""
    numbered = [attrs.evolve(one, offset=number, numbers=one.numbers) for number, one in enumerate(readings, 1)]
    samples = batch_of(numbered).samples
    return [Batch((), samples[first : first + size]) for first in range(0, len(samples), size)]


@given(
    usage_histories,
    st.fixed_dictionaries({name: st.integers(0, (1 << bits) - 1) for name, bits in COUNTER_BITS.items()}),
    st.integers(1, 4),
)
def test_it_gives_the_same_points(usages: list[Usage], start: dict[str, int], size: int) -> None:
    """However much a meter counts, its counters overflowing or not, both ways write the same into every file."""
    batches = in_batches(readings_after({"secs": 0, **start}, usages), size)
    assert written(batches, carefully=False) == written(batches, carefully=True)


def front_after(readings: Sequence[Reading]) -> Front:
    """Return the front of a meter after readings."""
    batch = batch_of(readings)
    writer = Writer(MemoryStore(), DIRECTORY, Layout(), "counters", "brultech", logging.getLogger("sink.test"))
    writer.write(batch)
    return writer._fronts["312345"]


READINGS = readings_of_values([{"ch1_aws": 1000 * n, "ch1_pws": 400 * n} for n in range(6)])


def test_the_ordinary_case_is_quick() -> None:
    """A meter that only counts is written the quick way, and is that far then."""
    front = front_after(READINGS[:3])
    points = front.advance(spans_of(batch_of(READINGS).samples[2:]))
    assert points is not None
    assert points["rrd/312345_ch1_aws.rrd"] == "1700000030:3000 1700000040:4000 1700000050:5000"
    assert points["rrd/312345_volts.rrd"] == "1700000030:120.000000 1700000040:120.000000 1700000050:120.000000"
    assert len(points) == 13
    states = dict(front.states())
    assert states["rrd/312345_ch1_aws.rrd"] == FileState(1_700_000_050, 5000, "DERIVE", 20)


@pytest.mark.parametrize(
    "values",
    [
        {"ch1_aws": 2000, "ch1_pws": 1300},  # more one way than in all
        {"ch1_aws": 2500, "ch1_pws": 900, "volts": None},
        {"ch1_aws": 2500, "ch1_pws": 900, "secs": 5},  # a restart
    ],
)
def test_what_is_not_ordinary_is_left_to_the_careful_way(values: dict[str, int | None]) -> None:
    """Where anything else than counting happened the quick way writes nothing, and nothing is changed."""
    front = front_after(READINGS[:3])
    before = dict(front.states())
    readings = [*READINGS[:3], readings_of_values([values], first=3)[0]]
    samples = batch_of(readings).samples[2:]
    assert len(samples) == 1
    assert front.advance(spans_of(samples)) is None
    assert dict(front.states()) == before


def test_only_what_can_have_been_counted_is_ordinary() -> None:
    """Counters that fall, or that rise by more than 1 MW, are looked at by the careful way."""
    front = front_after(READINGS[:3])
    assert front._rose(front.raw, front.raw, 10)
    assert front._rose(front.raw, tuple(value + 10_000_000 for value in front.raw), 10)
    assert not front._rose(front.raw, tuple(value + 10_000_001 for value in front.raw), 10)
    assert not front._rose(front.raw, (*front.raw[:-1], front.raw[-1] - 1), 10)
    assert not front._rose(front.raw, front.raw, 0)


def test_a_gap_is_left_to_the_careful_way() -> None:
    """A sample that does not begin where the files end is none of the ordinary ones."""
    front = front_after(READINGS[:3])
    assert front.advance(spans_of(batch_of(READINGS).samples[3:])) is None


def test_files_that_are_not_equally_far_have_no_front() -> None:
    """Where one file is behind, or holds power, each is looked at by itself."""
    span = spans_of(batch_of(READINGS).samples)[-1]
    assert front_of([], span) is not None
    writer = Writer(MemoryStore(), DIRECTORY, Layout(), "power", "brultech", logging.getLogger("sink.test"))
    writer.write(batch_of(READINGS))
    assert writer._fronts == {}
