# SPDX-License-Identifier: GPL-3.0-or-later
"""A meter's clock in local time: whichever hour is shown twice or left out, its readings get the right moment."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from btcore.decode.device_clock import EARLY, MAX_METERS, DeviceClock

BITS = 24
ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Europe/Dublin",  # winter time is the deviation there
    "Australia/Lord_Howe",  # half an hour
    "America/Santiago",  # at midnight
    "Asia/Kolkata",  # none
)
NEW_YORK = "America/New_York"
AUTUMN = datetime(2026, 11, 1, 6, tzinfo=UTC)
"""When the clocks of New York go back: from 2:00 to 1:00."""
SPRING = datetime(2026, 3, 8, 7, tzinfo=UTC)
"""When they go on: from 2:00 to 3:00."""

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def offset_of(zone: str) -> Callable[[datetime], timedelta]:
    """Return the offsets of a zone at its local times."""
    info = ZoneInfo(zone)
    return lambda shown: shown.replace(tzinfo=info).utcoffset() or timedelta(0)


def offset_at(zone: str, time: datetime) -> timedelta:
    """Return the offset of a zone at a moment."""
    return time.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)


def local(text: str, year: str = "2026") -> datetime:
    """Return a local time, `11-01 01:30`, of a year."""
    return datetime.fromisoformat(f"{year}-{text}")


def moment(text: str) -> datetime:
    """Return a moment of 2026, in UTC."""
    return local(text).replace(tzinfo=UTC)


@attrs.define
class Meter:
    """A meter whose clock is set as its owner, or its maker, sees fit: `offset` at each moment."""

    offset: Callable[[datetime], timedelta]
    started: datetime
    drift: float = 0.0  # of its seconds against its clock

    def shows(self, time: datetime) -> datetime:
        """Return what its clock shows."""
        return (time + self.offset(time)).replace(tzinfo=None)

    def seconds(self, time: datetime) -> int:
        """Return its seconds counter."""
        return round((time - self.started).total_seconds() * (1 + self.drift)) % (1 << BITS)


def told(
    clock: DeviceClock, meter: Meter, times: Iterable[datetime], arrival: datetime | None = None
) -> list[datetime]:
    """Return the moments of a meter's readings."""
    return [clock.utc("1", meter.shows(time), meter.seconds(time), BITS, arrival) for time in times]


def told_of(*readings: tuple[str, int], arrival: datetime | None = None) -> list[str]:
    """Return the moments, in UTC, of what a meter in New York shows: local time and seconds."""
    clock = DeviceClock(offset_of(NEW_YORK))
    found = [clock.utc("1", local(shown), seconds, BITS, arrival) for shown, seconds in readings]
    return [f"{time:%m-%d %H:%M}" for time in found]


def series(start: datetime, steps: Sequence[timedelta]) -> list[datetime]:
    """Return moments by their distances."""
    times = [start]
    for step in steps:
        times.append(times[-1] + step)
    return times


zones = st.sampled_from(ZONES)
instants = st.datetimes(local("01-01", "2024"), local("01-01", "2028")).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)
pauses = st.one_of(
    st.integers(1, 60), st.integers(60, 7200), st.integers(7200, 40 * 86_400), st.integers(150 * 86_400, 250 * 86_400)
).map(lambda seconds: timedelta(seconds=seconds))
walks = st.lists(pauses, max_size=40)
near_changes = st.sampled_from((AUTUMN, SPRING))


# --- meters that follow summer time, or do not


@given(zone=zones, start=instants, steps=walks, started=st.integers(0, (1 << BITS) - 1))
def test_a_meter_that_follows_its_zone(zone: str, start: datetime, steps: list[timedelta], started: int) -> None:
    """Whatever the pauses between its readings, each has its moment, if the first shows which that is."""
    meter = Meter(lambda time: offset_at(zone, time), start - timedelta(seconds=started))
    offset = offset_of(zone)
    assume(offset(meter.shows(start).replace(fold=0)) == offset(meter.shows(start).replace(fold=1)))
    times = series(start, steps)
    assert told(DeviceClock(offset), meter, times) == times


@given(
    change=near_changes,
    ahead=st.integers(0, 7200),
    steps=st.lists(st.integers(1, 900).map(lambda seconds: timedelta(seconds=seconds)), max_size=60),
    off=st.integers(-60 * 86_400, int(EARLY.total_seconds()) - 86_400),
    drift=st.floats(-5e-4, 5e-4),
)
def test_a_meter_that_is_set_too_early_or_late(
    change: datetime, ahead: int, steps: list[timedelta], off: int, drift: float
) -> None:
    """Around the moment at which it is set, by hand or by another country's rule, each reading has its moment."""
    early = timedelta(seconds=off)
    meter = Meter(lambda time: offset_at(NEW_YORK, time + early), change - 100 * HOUR, drift)
    begin = min(change, change - early) - 3 * HOUR
    around = series(change - early - timedelta(seconds=ahead), steps)
    times = sorted({*series(begin, [timedelta(days=1)] * 70), *around, *series(change - 2 * HOUR, [7 * MINUTE] * 40)})
    assert told(DeviceClock(offset_of(NEW_YORK)), meter, times) == times


@given(start=instants, steps=walks, zone=zones)
def test_a_meter_that_is_never_set(zone: str, start: datetime, steps: list[timedelta]) -> None:
    """A clock that is left alone keeps the offset that it had, through every summer."""
    kept = offset_at(zone, start)
    meter = Meter(lambda _time: kept, start - HOUR)
    offset = offset_of(zone)
    assume(offset(meter.shows(start)) == offset(meter.shows(start).replace(fold=1)) == kept)
    times = series(start, steps)
    assert told(DeviceClock(offset), meter, times) == times


@given(
    zone=zones,
    readings=st.lists(
        st.tuples(
            st.datetimes(local("01-01", "1971"), local("01-01", "2255")) | st.just(local("11-01 01:30")),
            st.integers(0, (1 << BITS) - 1) | st.integers(0, 300),
            st.none() | instants,
        ),
        max_size=20,
    ),
    bits=st.sampled_from((1, 8, 17, BITS, 63)),
)
def test_nothing_is_made_up(zone: str, readings: list[tuple[datetime, int, datetime | None]], bits: int) -> None:
    """Whatever a clock shows, in whatever order, its moment is by an offset of the zone, give or take 15 minutes."""
    clock = DeviceClock(offset_of(zone))
    known = {offset_at(zone, datetime(1970, 1, 1, tzinfo=UTC) + n * timedelta(days=30)) for n in range(3500)}
    for shown, seconds, arrival in readings:
        found = clock.utc("1", shown, seconds % (1 << bits), bits, arrival).replace(tzinfo=None)
        assert min(abs(shown - offset - found) for offset in known) <= 15 * MINUTE


@given(
    zone=zones,
    begin=instants,
    readings=st.lists(st.tuples(st.integers(1, 7200), st.integers(-5400, 5400)), max_size=40),
)
def test_time_does_not_go_back_by_little(zone: str, begin: datetime, readings: list[tuple[int, int]]) -> None:
    """However a clock is set while its meter's seconds go on, time goes back only where it is set back by much."""
    clock, shown, seconds = DeviceClock(offset_of(zone)), begin.replace(tzinfo=None), 0
    last: datetime | None = None
    for passed, jump in [(0, 0), *readings]:
        shown, seconds = shown + timedelta(seconds=passed + jump), seconds + passed
        found = clock.utc("1", shown, seconds, BITS, None)
        if last is not None and found < last:
            assert abs(found - last - timedelta(seconds=passed)) > 15 * MINUTE
        last = found


# --- the hour that is shown twice


def test_both_passes_of_the_repeated_hour() -> None:
    """The second pass is an hour later than the first; a clock that is set back five minutes late loses nothing."""
    first = [f"11-01 0{1 + n // 12}:{n % 12 * 5:02}" for n in range(14)]
    shown = ["11-01 00:55", *first, *first]
    found = told_of(*((time, 1000 + 300 * n) for n, time in enumerate(shown)))
    assert found[1:13] == [f"11-01 05:{n * 5:02}" for n in range(12)]
    assert found[13:15] == ["11-01 06:00", "11-01 06:05"]
    assert found[15:] == ["11-01 06:05", *(f"11-01 0{6 + n // 12}:{n % 12 * 5:02}" for n in range(1, 14))]


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        (None, "05:30"),
        (moment("11-01 05:31"), "05:30"),
        (moment("11-01 06:29"), "06:30"),
        (moment("11-01 07:15"), "06:30"),
        (moment("11-01 11:00"), "05:30"),
        (moment("11-20 12:00"), "05:30"),
    ],
    ids=["unknown", "first", "second", "held back", "held back for hours", "for weeks"],
)
def test_without_history_the_arrival_tells(arrival: datetime | None, expected: str) -> None:
    """The first reading of a meter is dated by when it came in, or else as the first of the two moments."""
    assert told_of(("11-01 01:30", 5), arrival=arrival) == [f"11-01 {expected}"]


def test_a_guess_is_given_up() -> None:
    """A recording that begins within the second pass is an hour early, until the zone's rule is certain."""
    shown = [("11-01 01:30", 0), ("11-01 02:30", 3600), ("11-01 03:00", 5400), ("11-01 03:30", 7200)]
    assert told_of(*shown) == ["11-01 05:30", "11-01 06:30", "11-01 08:00", "11-01 08:30"]


def test_a_guess_that_proves_right_is_kept() -> None:
    """A recording that begins within the first pass, of a meter that is set back a little late, has the right times."""
    shown = [("11-01 01:30", 0), ("11-01 02:10", 2400), ("11-01 01:20", 3000), ("11-01 03:30", 10_800)]
    assert told_of(*shown) == ["11-01 05:30", "11-01 06:10", "11-01 06:20", "11-01 08:30"]


def test_the_hour_that_is_left_out() -> None:
    """A clock that shows it is not set yet; once it is, its readings go on an hour later."""
    shown = [("03-08 01:50", 0), ("03-08 02:10", 1200), ("03-08 03:05", 4500), ("03-08 04:10", 4800)]
    assert told_of(*shown) == ["03-08 06:50", "03-08 07:10", "03-08 08:05", "03-08 08:10"]
    assert told_of(("03-08 02:30", 0)) == ["03-08 07:30"]


def test_a_seconds_counter_that_begins_again() -> None:
    """A counter that wraps within the repeated hour tells the passes apart all the same."""
    whole = 1 << BITS
    shown = [("11-01 00:50", whole - 1800), ("11-01 01:19", whole - 60), ("11-01 01:00", 2400), ("11-01 01:20", 3600)]
    assert told_of(*shown) == ["11-01 04:50", "11-01 05:19", "11-01 06:00", "11-01 06:20"]


def test_readings_that_come_late() -> None:
    """A reading that comes behind a later one, as from a gateway that held it back, has its own moment."""
    shown = [("11-01 00:50", 0), ("11-01 01:00", 4200), ("11-01 01:50", 3600), ("11-01 01:05", 4500)]
    assert told_of(*shown) == ["11-01 04:50", "11-01 06:00", "11-01 05:50", "11-01 06:05"]


# --- where the seconds do not tell


def test_a_meter_that_restarts_in_the_repeated_hour() -> None:
    """Its seconds begin anew, so the pass is the one that does not lie before its last reading."""
    shown = [("11-01 00:10", 5_000_000), ("11-01 01:50", 5_006_000), ("11-01 01:10", 100), ("11-01 01:20", 700)]
    assert told_of(*shown) == ["11-01 04:10", "11-01 05:50", "11-01 06:10", "11-01 06:20"]
    assert told_of(("11-01 01:10", 5_000_000), ("11-01 01:30", 9)) == ["11-01 05:10", "11-01 05:30"]


def test_a_clock_that_is_set_goes_by_the_zone() -> None:
    """A clock that is put right by hours or years has the zone's time, and so has one that was never set."""
    shown = [("07-01 12:00", 0), ("07-01 15:00", 60), ("11-01 01:30", 120), ("12-05 10:00", 180), ("11-01 01:40", 240)]
    assert told_of(*shown) == ["07-01 16:00", "07-01 19:00", "11-01 05:30", "12-05 15:00", "11-01 05:40"]


def test_a_restart_does_not_set_a_clock() -> None:
    """A meter on winter time that restarts in summer keeps its offset, where its arrival says so."""
    clock = DeviceClock(offset_of(NEW_YORK))
    assert clock.utc("1", local("03-07 12:00"), 1000, BITS, None) == moment("03-07 17:00")
    assert clock.utc("1", local("03-09 12:00"), 173_800, BITS, None) == moment("03-09 17:00")
    assert clock.utc("1", local("03-09 12:05"), 3, BITS, moment("03-09 17:06")) == moment("03-09 17:05")


def test_a_short_seconds_counter_tells_no_hours() -> None:
    """Of a meter whose seconds begin again within the hour, the zone's rule holds."""
    clock = DeviceClock(offset_of(NEW_YORK))
    shown = ("11-01 00:59", "11-01 01:58", "11-01 02:01", "11-01 02:59")
    found = [clock.utc("1", local(time), 7, 8, None) for time in shown]
    assert found == [moment(time) for time in ("11-01 04:59", "11-01 05:58", "11-01 07:01", "11-01 07:59")]


@pytest.mark.parametrize(
    ("zone", "shown"), [("Asia/Kolkata", local("01-01 00:00", "0001")), (NEW_YORK, local("12-31 23:59", "9999"))]
)
def test_a_time_beyond_all_dates_is_an_error(zone: str, shown: datetime) -> None:
    """What is no moment in UTC raises, and leaves no trace."""
    clock = DeviceClock(offset_of(zone))
    for _ in range(2):
        with pytest.raises((OverflowError, ValueError)):
            clock.utc("1", shown, 5, BITS, None)
    assert clock.utc("1", local("07-01 12:00"), 5, BITS, None).month == 7


# --- several meters


def test_meters_are_apart() -> None:
    """Two meters, one of which is set back and the other not yet, do not disturb each other."""
    clock = DeviceClock(offset_of(NEW_YORK))
    for serial in ("1", "2"):
        clock.utc(serial, local("11-01 00:30"), 0, BITS, None)
    assert clock.utc("1", local("11-01 01:10"), 6000, BITS, None) == moment("11-01 06:10")
    assert clock.utc("2", local("11-01 02:10"), 6000, BITS, None) == moment("11-01 06:10")


@pytest.mark.parametrize(("invented", "expected"), [(MAX_METERS - 1, "06:10"), (MAX_METERS, "05:10")])
def test_what_is_remembered_is_bounded(invented: int, expected: str) -> None:
    """The meter that was unheard for longest is forgotten, when too many others were heard since."""
    clock = DeviceClock(offset_of(NEW_YORK))
    clock.utc("1", local("11-01 00:30"), 0, BITS, None)
    for number in range(invented):
        clock.utc(f"invented {number}", local("11-01 00:30"), 0, BITS, None)
    assert clock.utc("1", local("11-01 01:10"), 6000, BITS, None) == moment(f"11-01 {expected}")
