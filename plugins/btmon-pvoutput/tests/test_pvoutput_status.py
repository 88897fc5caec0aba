# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statuses samples become: slots, time zones, several meters, and the numbers in them."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import Batch, ChannelRef, Sample
from btmon_pvoutput.sink import PVOutput
from btmon_pvoutput.status import Status, request, slot_end, split_requests

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = datetime(2024, 6, 1, 12, 0, tzinfo=UTC).timestamp()
FLOWS = {"ch2_pwh": 1000.4, "ch2_nwh": 5000.5, "ch2_pw": 3.5, "ch2_nw": 1500.5}


def slots(lines: list[str]) -> list[str]:
    """Return the date and time of each status of a preview."""
    form = lines[0].split(" ", 2)[2]
    fields = dict(part.split("=", 1) for part in form.split("&"))
    rows = fields["data"].split(";") if "data" in fields else [f"{fields['d']},{fields['t']}"]
    return [" ".join(row.split(",")[:2]) for row in rows]


def form(sink: PVOutput, *samples: Sample) -> dict[str, str]:
    """Return the fields of the one request that a sink would make of these samples."""
    (line,) = sink.preview_batch(Batch(samples=samples))
    return dict(part.split("=", 1) for part in line.split(" ", 2)[2].split("&"))


def test_a_status_has_the_time_at_which_its_slot_ends(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """A reading 20 s before the end of a slot, and one at the end itself, are told of as of that end."""
    sink = make_sink()
    for end in (NOON - 20, NOON):
        assert slots(list(sink.preview_batch(Batch(samples=(make_sample(end, ch2_nw=1),))))) == ["20240601 12:00"]


def test_a_reading_just_after_the_end_belongs_to_the_next_slot(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """A microsecond after the end of a slot the next one has begun."""
    sample = make_sample(NOON + 0.000001, ch2_nw=1)
    assert slots(list(make_sink().preview_batch(Batch(samples=(sample,))))) == ["20240601 12:05"]


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from([300, 600, 900, 3600]))
def test_every_reading_lies_in_the_slot_that_it_is_told_of(key: int, interval: int) -> None:
    """A slot's end is a multiple of its length, not before the reading, and less than a length after it."""
    end = slot_end(key, interval)
    assert end % interval == 0
    assert 0 <= end * 1_000_000 - key < interval * 1_000_000


def test_longer_intervals_end_at_their_own_multiples(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """With 15 minutes a status is of a quarter of an hour."""
    sample = make_sample(NOON + 400, ch2_nw=1)
    assert slots(list(make_sink(interval=900).preview_batch(Batch(samples=(sample,))))) == ["20240601 12:15"]


def test_the_time_is_local_to_the_system(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """The configured zone counts, and where it is another day there, that day."""
    sample = make_sample(NOON, ch2_nw=1)
    for zone, expected in (
        ("America/New_York", "20240601 08:00"),
        ("Asia/Kolkata", "20240601 17:30"),
        ("Pacific/Kiritimati", "20240602 02:00"),
    ):
        assert slots(list(make_sink(zone=zone).preview_batch(Batch(samples=(sample,))))) == [expected]


def test_without_a_zone_the_time_is_the_host_s(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """`zone` left empty means the zone of this computer."""
    host = datetime.fromtimestamp(NOON, UTC).astimezone()
    sample = make_sample(NOON, ch2_nw=1)
    assert slots(list(make_sink(zone="").preview_batch(Batch(samples=(sample,))))) == [f"{host:%Y%m%d %H:%M}"]


def test_in_spring_the_hour_that_is_not_is_left_out(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """In New York 02:00 to 03:00 does not exist on the day on which summer time begins."""
    change = datetime(2024, 3, 10, 7, 0, tzinfo=UTC).timestamp()
    samples = tuple(make_sample(change + 300 * i, ch2_nw=1) for i in (-1, 0, 1))
    lines = list(make_sink(zone="America/New_York").preview_batch(Batch(samples=samples)))
    assert slots(lines) == ["20240310 01:55", "20240310 03:00", "20240310 03:05"]


def test_in_autumn_the_later_of_two_equal_times_counts(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """The hour that comes twice when summer time ends has one slot each time: the later takes the earlier's place."""
    first = datetime(2024, 11, 3, 5, 30, tzinfo=UTC).timestamp()
    samples = (make_sample(first, ch2_nw=1, ch2_pw=0), make_sample(first + 3600, ch2_nw=2, ch2_pw=0))
    assert form(make_sink(zone="America/New_York"), *samples) == {"d": "20241103", "t": "01:30", "c1": "1", "v2": "2"}


@given(st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)))  # noqa: DTZ001 - hypothesis wants them naive
def test_a_zone_tells_the_same_moment(moment: datetime) -> None:
    """What is sent, read in the system's zone, is the end of the slot, but for the hour that comes twice."""
    zone = ZoneInfo("Europe/London")
    end = slot_end(int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000, 300)
    local = datetime.fromtimestamp(end, UTC).astimezone(zone)
    read = datetime.strptime(f"{local:%Y%m%d %H:%M}", "%Y%m%d %H:%M").replace(tzinfo=zone, fold=local.fold)
    assert read.timestamp() == end


def test_two_meters_of_one_slot_are_one_status(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """Generation on one meter and consumption on another, read at different moments of a slot, are sent together."""
    sink = make_sink(consumption=ChannelRef("399999", "ch1"), temperature=ChannelRef("01000010", "t1"))
    roof = make_sample(NOON - 40, ch2_nwh=5000, ch2_pwh=0, ch2_nw=1500, ch2_pw=0, measured={"volts": 121.0, "t1": 21.5})
    house = make_sample(
        NOON - 3, "399999", "ecm1240bin", {"volts": 119.0}, ch1_nwh=0, ch1_pwh=700, ch1_nw=0, ch1_pw=812.5
    )
    expected = {"v1": "5000", "v2": "1500", "v3": "700", "v4": "812", "v5": "21.5", "v6": "121.0"}
    for samples in ((roof, house), (house, roof)):
        assert form(sink, *samples) == {"d": "20240601", "t": "12:00", "c1": "1", **expected}


def test_numbers_are_whole_and_halves_go_to_the_even_neighbour(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """Energy and power are integers; 1500.5 W is 1500 W, 1501.5 W is 1502 W."""
    sink = make_sink()
    assert form(sink, make_sample(ch2_nwh=10.5, ch2_pwh=0, ch2_nw=1500.5, ch2_pw=0))["v1"] == "10"
    assert form(sink, make_sample(ch2_nwh=11.5, ch2_pwh=0, ch2_nw=1501.5, ch2_pw=0))["v2"] == "1502"


@pytest.mark.parametrize(
    ("direction", "polarity", "expected"),
    [
        ("export", "brultech", ("5000", "1500")),
        ("import", "brultech", ("1000", "4")),
        ("both", "brultech", ("6001", "1504")),
        ("export", "btmon", ("1000", "4")),
        ("import", "btmon", ("5000", "1500")),
        ("both", "btmon", ("6001", "1504")),
        ("auto", "brultech", ("5000", "1500")),
        ("auto", "btmon", ("5000", "1500")),
    ],
)
def test_a_direction_is_the_same_counter_whatever_the_polarity(
    make_sink: MakeSink, make_sample: MakeSample, direction: str, polarity: str, expected: tuple[str, str]
) -> None:
    """Positive is import in Brultech's polarity, export in btmon's; auto is what was counted most, in either."""
    sent = form(make_sink(polarity=polarity, generation_direction=direction), make_sample(**FLOWS))
    assert (sent["v1"], sent["v2"]) == expected


def test_a_channel_without_directions_is_taken_as_it_is(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """An auxiliary channel, and one of a packet without polarized counters, have one counter: that one is sent."""
    aux = make_sample(serial="399999", format="ecm1240bin", aux2_wh=77.0, aux2_w=5.0)
    assert form(make_sink(generation=ChannelRef("399999", "aux2")), aux)["v1"] == "77"
    absolute = make_sample(format="gem48abin", ch2_pwh=12.0, ch2_nwh=0.0, ch2_pw=3.0, ch2_nw=0.0)
    for direction in ("auto", "import", "export"):
        assert form(make_sink(generation_direction=direction), absolute)["v2"] == "3"


@pytest.mark.parametrize(("polarity", "sign"), [("brultech", 1), ("btmon", -1)])
def test_behind_the_grid_a_house_uses_what_is_generated_plus_imported_minus_exported(
    make_sink: MakeSink, make_sample: MakeSample, polarity: str, sign: int
) -> None:
    """3000 W of the panels, 2200 W of them exported, leave 800 W; only power, as a difference of counters may fall."""
    sink = make_sink(polarity=polarity, grid=ChannelRef("01000010", "ch1"), generation_direction="both")
    sample = make_sample(ch2_nwh=9.0, ch2_pwh=0, ch2_nw=3000.0, ch2_pw=0, ch1_w=-2200.0 * sign)
    assert form(sink, sample) == {"d": "20240601", "t": "12:00", "c1": "2", "v1": "9", "v2": "3000", "v4": "800"}


def test_a_house_never_uses_less_than_nothing(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """Where two clamps do not agree exactly, more may seem exported than generated; PVOutput refuses negative power."""
    sink = make_sink(grid=ChannelRef("01000010", "ch1"))
    sample = make_sample(ch2_nw=3000.0, ch2_pw=0, ch1_w=-3010.0)
    assert form(sink, sample)["v4"] == "0"


def test_what_is_unknown_is_left_out(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """After a restart of the meter no power is known, without a sensor no temperature: neither is sent, nor 0."""
    sink = make_sink(temperature=ChannelRef("01000010", "t1"))
    sample = make_sample(ch2_nwh=5.0, ch2_pwh=1.0, ch2_nw=None, ch2_pw=None)
    assert form(sink, sample) == {"d": "20240601", "t": "12:00", "c1": "1", "v1": "5"}


def test_a_slot_with_neither_power_nor_energy_is_not_sent(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """PVOutput wants one of v1 to v4: a temperature alone, or another meter's sample, is no status."""
    sink = make_sink(temperature=ChannelRef("", "t1"))
    nothing = (make_sample(measured={"t1": 20.0}), make_sample(NOON + 300, "01000099", ch2_nw=5.0, ch2_pw=0.0))
    assert list(sink.preview_batch(Batch(samples=nothing))) == []
    assert list(sink.preview_batch(Batch())) == []


def test_fahrenheit_becomes_celsius(make_sink: MakeSink, make_sample: MakeSample) -> None:
    """PVOutput counts in degrees Celsius: 70.5 °F are 21.4 °C."""
    sink = make_sink(temperature=ChannelRef("", "t1"), temperature_unit="F")
    assert form(sink, make_sample(ch2_nw=1, ch2_pw=0, measured={"t1": 70.5}))["v5"] == "21.4"


def test_a_row_leaves_empty_what_is_not_known_and_ends_with_what_is() -> None:
    """A row of many has its fields by place."""
    assert Status("20240601", "12:00", {"v2": "5", "v6": "240.0"}).row == "20240601,12:00,,5,,,,240.0"
    assert Status("20240601", "12:00", {"v1": "7"}).row == "20240601,12:00,7"


def test_one_status_and_many_have_pages_of_their_own() -> None:
    """One status is a form, two are rows of `data`."""
    one, two = Status("20240601", "12:00", {"v1": "7"}), Status("20240601", "12:05", {"v1": "8"})
    assert request([one], "1") == ("addstatus.jsp", {"d": "20240601", "t": "12:00", "c1": "1", "v1": "7"})
    assert request([one, two], "1") == (
        "addbatchstatus.jsp",
        {"c1": "1", "data": "20240601,12:00,7;20240601,12:05,8"},
    )


@given(st.integers(0, 200))
def test_no_request_carries_more_than_thirty_and_none_is_lost(count: int) -> None:
    """Splitting keeps all statuses, in order, thirty at most together."""
    statuses = [Status("20240601", f"{n}", {}) for n in range(count)]
    split = list(split_requests(statuses))
    assert [status for some in split for status in some] == statuses
    assert all(1 <= len(some) <= 30 for some in split)
    assert all(len(some) == 30 for some, _ in pairwise(split))
