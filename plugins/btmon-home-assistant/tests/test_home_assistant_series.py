# SPDX-License-Identifier: GPL-3.0-or-later
"""Hours and sums: what is written is the same however it is cut and in whichever order it comes."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btmon_home_assistant.hours import HOUR, MAX_GAP, hour_of, totals_by_hour
from btmon_home_assistant.series import Continuation, Row, Totals, continue_rows

NOON = 12 * HOUR
Table = dict[int, Row]


def test_an_hour_ends_where_the_next_begins() -> None:
    """A moment belongs to the hour that it is within or ends."""
    assert [hour_of(time) for time in (NOON, NOON + 0.5, NOON + HOUR, NOON - 1)] == [
        NOON - HOUR,
        NOON,
        NOON,
        NOON - HOUR,
    ]


def test_energy_is_parted_at_the_hour() -> None:
    """A sample across an hour's end gives the counter at that end, and that at its own."""
    assert list(totals_by_hour(NOON - 900, NOON + 300, 10.0, 4.0)) == [(NOON - HOUR, 9.0), (NOON, 10.0)]


def test_a_gap_is_spread_over_its_hours() -> None:
    """A gap has a row for each hour, with its share."""
    found = list(totals_by_hour(NOON, NOON + 4 * HOUR, 8.0, 4.0))
    assert found == [(NOON, 5.0), (NOON + HOUR, 6.0), (NOON + 2 * HOUR, 7.0), (NOON + 3 * HOUR, 8.0)]


def test_what_is_not_known_is_not_spread() -> None:
    """Without a known rise, and over more than a year, there is the hour of the end alone."""
    assert list(totals_by_hour(NOON, NOON + 4 * HOUR, 8.0, None)) == [(NOON + 3 * HOUR, 8.0)]
    assert list(totals_by_hour(0, MAX_GAP + 1, 8.0, 4.0)) == [(MAX_GAP, 8.0)]
    assert list(totals_by_hour(NOON, NOON - 60, 8.0, 4.0)) == [(NOON - HOUR, 8.0)]


def write(table: Table, part: Continuation) -> None:
    """Do to a table what Home Assistant does."""
    if part.after and part.adjustment:
        for hour in [hour for hour in table if hour >= part.after.hour]:
            table[hour] = Row(hour, table[hour].state, table[hour].sum + part.adjustment)
    table.update({row.hour: row for row in part.rows})


def deliver(table: Table, samples: Sequence[tuple[float, float, float, float]]) -> None:
    """Write a batch of samples: start, end, the counter at the end, and its rise."""
    first = samples[0]
    totals = Totals(round(first[2] - first[3], 6))
    for start, end, total, rise in samples:
        totals.add(totals_by_hour(start, end, total, rise), end)
    write(table, continue_rows(totals, table.values()))


def negative_steps(table: Table) -> list[tuple[Row, Row]]:
    """Return the rows whose sum is less than that of the one before."""
    rows = [table[hour] for hour in sorted(table)]
    return [(a, b) for a, b in zip([Row(0, 0, 0), *rows], rows, strict=False) if b.sum < a.sum - 1e-6]


lengths = st.lists(st.integers(60, 20_000), min_size=1, max_size=30)


@given(lengths, st.integers(0, 10_000), st.randoms(use_true_random=False))
@hundred_examples
def test_the_order_of_batches_does_not_matter(parts: list[int], begun: int, random: Random) -> None:
    """Batches in any order, and again, end in sums that differ by what the counter rose, and none ever falls."""
    samples, at = [], 1_000_000
    total = float(begun)
    for seconds in parts:
        samples.append((at, at + seconds, total + seconds / 100, seconds / 100))
        at, total = at + seconds, total + seconds / 100
    cuts = sorted(random.sample(range(len(samples)), min(3, len(samples))))
    batches = [samples[a:b] for a, b in zip([0, *cuts], [*cuts, len(samples)], strict=True) if samples[a:b]]
    again = [*batches, *batches, samples]
    random.shuffle(again)
    table: Table = {}
    for batch in again:
        deliver(table, batch)
        assert not negative_steps(table)
    rows = [table[hour] for hour in sorted(table)]
    assert [row.hour for row in rows] == list(range(hour_of(1_000_000.5), hour_of(at) + 1, HOUR))
    assert all(abs((b.sum - a.sum) - (b.state - a.state)) < 1e-6 for a, b in pairwise(rows))
    assert rows[0].sum < HOUR / 100 + 1e-6  # the first row is no step of all that was counted before
    assert rows[-1].state == round(total, 6)


@given(lengths, lengths, st.integers(0, 10_000), st.integers(0, 10_000))
@hundred_examples
def test_no_sum_falls_where_the_counter_does(before: list[int], after: list[int], one: int, two: int) -> None:
    """History of another counter, written later and before what is there, makes no step that is negative."""
    table: Table = {}
    for parts, at, total in ((after, 10_000_000, two), (before, 1_000_000, one)):
        start, counter = at, float(total)
        for seconds in parts:
            deliver(table, [(start, start + seconds, counter + seconds / 100, seconds / 100)])
            start, counter = start + seconds, counter + seconds / 100
            assert not negative_steps(table)


def test_an_hour_that_is_delivered_again_stays() -> None:
    """A replay that ends within an hour does not take away what the hour had."""
    table: Table = {}
    deliver(table, [(NOON, NOON + 1800, 10.0, 1.0), (NOON + 1800, NOON + 2 * HOUR, 13.0, 3.0)])
    complete = dict(table)
    deliver(table, [(NOON, NOON + 1800, 10.0, 1.0)])
    assert table == complete
