# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: its sums are the counters, whatever happens between."""

import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from helpers.metered import batch_of, readings
from helpers.samplers import samples_between
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Reading, Sample, Stop, pack
from btmon_dashboard.history import history, parse_step, points
from btmon_dashboard.pieces import in_pieces
from btmon_dashboard.spans import DAY, HOUR, LEVELS, MINUTE, SAMPLE, SECOND, end_of, hours_of, start_of
from btmon_dashboard.store import Store
from btmon_dashboard.sums import Sums, parts

BERLIN = ZoneInfo("Europe/Berlin")
SERIAL = "01021234"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Store]:
    """Return an open store."""
    with closing(Store(tmp_path / "dashboard.db")) as store:
        yield store


def house(start: float, end: float, *, pace: int = 300, seed: int = 1, restart: float = 0) -> list[Reading]:
    """Return the readings of a meter whose ch1 consumes and exports at random; at `restart` it counts from zero."""
    chance = random.Random(seed)
    made: list[Reading] = []
    absolute, polarized, secs, time = 4000, 1000, 50, start
    while time <= end:
        values = {"secs": secs, "ch1_aws": absolute, "ch1_pws": polarized, "ch2_aws": absolute // 3}
        raw = pack("gem48ptbin", SERIAL, values)
        made.append(Reading(datetime.fromtimestamp(time, BERLIN), FORMATS["gem48ptbin"], SERIAL, raw, offset=len(made)))
        back = chance.randint(0, 900 * pace)
        absolute, polarized = absolute + back + chance.randint(0, 3000 * pace), polarized + back
        secs, time = secs + pace, time + pace
        if restart and time - pace < restart <= time:
            absolute, polarized, secs = 777, 77, 3
    return made


def moment(*parts: int) -> float:
    """Return a time of Berlin in seconds."""
    return datetime(*parts, tzinfo=BERLIN).timestamp()  # type: ignore[arg-type, misc]


def energy(store: Store, step: str, start: float, end: float, channel: str = "ch1") -> list[float]:
    """Return the Wh of each step."""
    wh: list[float] = history(store, SERIAL, channel, (start, end), parse_step(step, 0))["wh"]
    return wh


def net(reading: Reading) -> int:
    """Return what ch1 has counted, in Ws, net."""
    return int(reading.get("ch1_aws") or 0) - 2 * int(reading.get("ch1_pws") or 0)


@given(
    st.integers(0, 2_000_000_000 * SECOND),
    st.integers(1, 3 * DAY * SECOND),
    st.lists(st.integers(0, 10**12), min_size=2, max_size=6),
)
def test_no_watt_second_is_lost_or_made(start: int, length: int, ws: list[int]) -> None:
    """What an interval adds to the minutes, hours and days is, at each level, its energy and its length."""
    found = list(parts(start, start + length, ws))
    for level in LEVELS:
        of_level = [part for part in found if part[0] == level]
        if level != SAMPLE or length <= HOUR * SECOND:
            assert [sum(numbers) for numbers in zip(*(part[3] for part in of_level), strict=True)] == ws
            assert sum(part[2] for part in of_level) == length
        assert all(number >= 0 for part in of_level for number in part[3])


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 21), 24)])
def test_a_day_is_the_sum_of_its_hours_and_the_difference_of_the_counters(
    day: tuple[int, int, int], hours: int, stored: Store, zone: Callable[[str], None]
) -> None:
    """To the Wh, also where the clock changes."""
    zone("Europe/Berlin")
    start, end = moment(*day), moment(*day[:2], day[2] + 1)
    made = house(start, end)
    stored.add(samples_between(made), "brultech")
    assert len(energy(stored, "hour", start, end)) == hours
    expected = (net(made[-1]) - net(made[0])) / 3600
    for step in ("day", "hour", "minute", "900"):
        assert sum(energy(stored, step, start, end)) == pytest.approx(expected, abs=0.001)
    assert len(energy(stored, "day", start, end)) == 1


@given(
    start=st.integers(0, 2_000_000_000),
    minutes=st.integers(11, 2000),
    step=st.sampled_from(["60", "300", "420", "900"]),
)
def test_a_long_interval_is_a_row_an_hour_and_a_point_a_step(start: int, minutes: int, step: str) -> None:
    """The minutes of an interval of hours would be equal: a row has an hour's, and a question's points share it out."""
    rows = [
        (at, Sums(length, ws))
        for level, at, length, ws in parts(start * SECOND, (start + 60 * minutes) * SECOND, [60 * minutes * 100, 0])
        if level == MINUTE
    ]
    assert len(rows) <= minutes // 60 + 2
    made = parse_step(step, 0)
    cut = in_pieces(rows, made.seconds, made.start, (0, 2**62))
    found = points([(made.start(start), sums) for start, sums in cut], 0, "")
    assert sum(found["wh"]) == pytest.approx(60 * minutes * 100 / 3600)
    assert found["watts"] == pytest.approx([100] * len(found["watts"]), rel=0.05)
    assert max((after - before for before, after in pairwise(found["times"])), default=0) <= max(int(step), 60)


def test_a_point_within_a_long_interval(stored: Store) -> None:
    """A span that begins in the midst of an hour that was measured at once has that hour's power."""
    start = 1_780_000_000 - 1_780_000_000 % 3600
    stored.add(samples_between(house(start, start + 4 * HOUR, pace=HOUR)), "brultech")
    middle = history(stored, SERIAL, "ch1", (start + 1800, start + 2400), parse_step("minute", 0))
    assert len(middle["times"]) == 10
    (hour,) = history(stored, SERIAL, "ch1", (start, start + HOUR), parse_step("hour", 0))["watts"]
    assert middle["watts"] == pytest.approx([hour] * 10, rel=0.01)


def test_a_meter_that_restarts_goes_on_from_zero(stored: Store, zone: Callable[[str], None]) -> None:
    """What was counted between its last packet and the restart is not known; all else is in the sum."""
    zone("Europe/Berlin")
    start, end = moment(2026, 6, 21), moment(2026, 6, 22)
    made = house(start, end, restart=moment(2026, 6, 21, 15, 2))
    restarted = next(at for at, (one, two) in enumerate(pairwise(made)) if two.seconds < one.seconds)
    stored.add(samples_between(made), "brultech")
    counted = net(made[restarted]) - net(made[0]) + net(made[-1])
    assert sum(energy(stored, "hour", start, end)) == pytest.approx(counted / 3600, abs=0.001)


def test_what_comes_twice_counts_once(stored: Store) -> None:
    """Delivery is at least once: the same samples again, and older ones, add nothing."""
    made = house(1_780_000_000, 1_780_030_000)
    samples = samples_between(made)
    stored.add(samples, "brultech")
    before = stored.read(SERIAL, DAY, 0, 2**62)
    stored.add(samples[40:], "brultech")
    stored.add(samples[:3], "brultech")
    assert [(start, sums.length, sums.ws) for start, sums in stored.read(SERIAL, DAY, 0, 2**62)] == [
        (start, sums.length, sums.ws) for start, sums in before
    ]


def test_what_was_lost_with_the_memory_is_in_the_next_difference(tmp_path: Path) -> None:
    """After a kill the sink gets no sample again, and the sum is still the difference of the counters."""
    made = house(1_780_000_000, 1_780_030_000)
    samples = samples_between(made)
    with closing(Store(tmp_path / "dashboard.db")) as store:
        store.add(samples[:30], "brultech")
        store.flush()
        store.add(samples[30:60], "brultech")
        store._pending.clear()  # as a kill leaves it
        store.meters.clear()
    with closing(Store(tmp_path / "dashboard.db")) as store:
        store.add(samples[60:], "brultech")
        assert total(store) == net(made[-1]) - net(made[0])


@pytest.mark.parametrize("shift", [-7200, 7200, -40 * DAY])
def test_a_clock_that_is_set_changes_no_sum(shift: int, stored: Store) -> None:
    """Back or forward, by hours or weeks."""
    made = house(1_780_000_000, 1_780_030_000)
    half = len(made) // 2
    later = [
        Reading(
            datetime.fromtimestamp(one.timestamp + shift, BERLIN), one.format, SERIAL, one.raw, monotonic=at, boot=7
        )
        for at, one in enumerate(made[half:])
    ]
    stored.add(adjacent([*made[:half], *later], made), "brultech")
    assert total(stored) == net(made[-1]) - net(made[0])


def adjacent(shifted: list[Reading], made: list[Reading]) -> Iterator[Sample]:
    """Yield samples with the times of `shifted` and the values of `made`."""
    for (older, newer), sample in zip(pairwise(shifted), samples_between(made), strict=True):
        yield Sample(older, newer, sample.seconds, sample.reset, partial(dict, sample.values))


def total(store: Store) -> int:
    """Return all net energy of ch1, in Ws."""
    pairs = [sums.of(0) for _, sums in store.read(SERIAL, DAY, -(2**62), 2**62)]
    return sum(taken - given for taken, given in pairs)


def test_a_store_is_the_same_when_it_is_opened_again(tmp_path: Path) -> None:
    """With what was pending, and the names of the channels."""
    made = house(1_780_000_000, 1_780_030_000)
    with closing(Store(tmp_path / "dashboard.db")) as store:
        store.add(samples_between(made), "brultech")
        before = energy(store, "hour", 1_779_990_000, 1_780_040_000, "ch2")
    with closing(Store(tmp_path / "dashboard.db")) as store:
        assert energy(store, "hour", 1_779_990_000, 1_780_040_000, "ch2") == before
        assert sum(before) == pytest.approx(int(made[-1].get("ch2_aws") or 0) / 3600 - 4000 // 3 / 3600, abs=0.001)


def test_a_gap_of_years_has_days_and_no_minutes(stored: Store) -> None:
    """Its energy is all there, and it does not fill the disk."""
    first, last = house(1_600_000_000, 1_600_000_300)
    stored.add(gap([first, last], 10 * 365 * DAY), "brultech")
    assert stored.read(SERIAL, MINUTE, 0, 2**62) == []
    assert len(stored.read(SERIAL, DAY, 0, 2**62)) > 3600
    assert total(stored) == net(last) - net(first)


def gap(made: Iterable[Reading], seconds: int) -> Iterator[Sample]:
    """Yield the sample of two readings, as if the second had come later."""
    one, two = made
    late = Reading(datetime.fromtimestamp(one.timestamp + seconds, BERLIN), two.format, SERIAL, two.raw)
    (sample,) = samples_between([one, two])
    yield Sample(one, late, None, reset=False, calculate=partial(dict, sample.values))


@pytest.mark.parametrize(("polarity", "form"), [("brultech", "ecm1240bin"), ("btmon", "ecm1240bin")])
def test_what_is_consumed_is_positive_whatever_the_polarity(polarity: str, form: str, stored: Store) -> None:
    """The house uses energy, and the page shows it so."""
    batch = batch_of(readings(61, start=1_780_000_000 - 1_780_000_000 % 3600, form=form), polarity)  # type: ignore[arg-type]
    stored.add(batch.samples, polarity)  # type: ignore[arg-type]
    (_, sums), *_ = stored.read("312345", HOUR, 0, 2**62)
    columns = stored.meters["312345"].channels
    assert sums.of(columns.index("ch1")) == (600_000, 150_000)
    assert sums.of(columns.index("aux1")) == (120_000, 0)


def test_samples_stand_alone_for_two_days(stored: Store) -> None:
    """Minutes, hours and days are kept for good."""
    made = house(1_780_000_000, 1_780_000_000 + 3 * DAY)
    stored.add(samples_between(made), "brultech")
    stored.flush()
    starts = [start for start, _ in stored.read(SERIAL, SAMPLE, 0, 2**62)]
    assert min(starts) >= made[-1].key - 2 * DAY * SECOND
    assert stored.read(SERIAL, MINUTE, 0, 2**62)[0][0] <= made[0].key
    old = history(stored, SERIAL, "ch1", (1_780_000_000, 1_780_003_600), parse_step("10", 0))
    assert len(old["times"]) == 60  # by the minute, where samples are gone


@pytest.mark.parametrize("name", ["Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "UTC"])
def test_every_moment_is_in_the_span_that_it_begins(name: str, zone: Callable[[str], None]) -> None:
    """In zones of half hours too, at each moment of a year that is 35 minutes later."""
    zone(name)
    for seconds in range(1_767_225_600, 1_767_225_600 + 366 * DAY, 2100):
        for level in (MINUTE, HOUR, DAY):
            start = start_of(level, seconds * SECOND)
            assert start <= seconds * SECOND < end_of(level, start)


def test_a_store_that_was_deleted_is_filled_while_the_meter_goes_on(tmp_path: Path) -> None:
    """New samples come between those that are delivered again, also over a restart: all is what the counters say."""
    made = house(1_780_000_000, 1_780_030_000)
    samples = samples_between(made)
    half = len(samples) // 2
    filling: dict[str, Any] = {"is_filling": lambda: True}
    with closing(Store(tmp_path / "dashboard.db", **filling)) as store:
        store.add(samples[half : half + 5], "brultech")
        store.add(samples[:20], "brultech")
        store.add(samples[half + 5 : half + 9], "brultech")
        store.add(samples[18:25], "brultech")  # some come twice
    with closing(Store(tmp_path / "dashboard.db", **filling)) as store:
        store.add(samples[half + 9 :], "brultech")
        store.add(samples[20 : half + 3], "brultech")
        assert total(store) == net(made[-1]) - net(made[0])
        hours = store.read(SERIAL, HOUR, 0, 2**62)
    with closing(Store(tmp_path / "other.db")) as store:
        store.add(samples, "brultech")
        whole = store.read(SERIAL, HOUR, 0, 2**62)
        assert [(start, sums.of(0)) for start, sums in whole] == [(start, sums.of(0)) for start, sums in hours]


def test_a_meter_that_is_filled_first_goes_on_where_it_is(tmp_path: Path) -> None:
    """The history comes before the first new sample: the gap between the two is still filled."""
    made = house(1_780_000_000, 1_780_030_000)
    samples = samples_between(made)
    with closing(Store(tmp_path / "dashboard.db", is_filling=lambda: True)) as store:
        for batch in (samples[:30], samples[60:62], samples[30:60], samples[62:]):
            store.add(batch, "brultech")
        assert total(store) == net(made[-1]) - net(made[0])


def test_sensors_have_the_mean_of_their_minutes(stored: Store) -> None:
    """Of a temperature and volts the mean over time; pulses are counted."""
    batch = batch_of(readings(361, start=1_780_000_000 - 1_780_000_000 % 3600, form="gem48ptbin", serial=SERIAL))
    stored.add(batch.samples, "brultech")
    span = (1_779_800_000, 1_780_010_000)
    for step in ("minute", "hour", "day"):
        for channel, mean in (("t1", 21.5), ("volts", 120.0)):
            values = history(stored, SERIAL, channel, span, parse_step(step, 0))["values"]
            assert values
            assert set(values) == {mean}
        assert sum(history(stored, SERIAL, "p1", span, parse_step(step, 0))["values"]) == 360


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """The sink stops, and says what to do; so it does for what is no database."""
    file = tmp_path / "energy.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE meters(a)")
    with pytest.raises(Stop, match="name another `file`"):
        Store(file)
    file.write_bytes(b"no database at all, but long enough" * 40)
    with pytest.raises(Stop, match="move it away"):
        Store(file)


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", (2025, 3, 30), 23),
        ("Europe/Berlin", (2025, 10, 26), 25),
        ("Asia/Kolkata", (2025, 3, 30), 24),
        ("Australia/Lord_Howe", (2025, 4, 6), 25),
        ("Australia/Lord_Howe", (2025, 10, 5), 24),
    ],
)
def test_each_hour_of_a_day_is_one_of_the_store(
    name: str, day: tuple[int, int, int], hours: int, zone: Callable[[str], None]
) -> None:
    """Also where the clock changes by half an hour: each moment of the day is in one of them."""
    zone(name)
    start = start_of(DAY, round(datetime(*day, 12, tzinfo=ZoneInfo(name)).timestamp()) * SECOND)
    end = end_of(DAY, start)
    found = hours_of(start, end)
    assert len(found) == hours
    assert {start_of(HOUR, moment) for moment in range(start, end, 600 * SECOND)} == set(found)
