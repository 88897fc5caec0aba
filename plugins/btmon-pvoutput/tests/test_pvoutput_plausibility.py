# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVOutput does not believe: a wrong zone or size stops the sink and costs nothing; one bad status goes alone."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml
from servers.pvoutput import PVOutputServer

from btcore import Batch, BtcoreError, ChannelRef, Reject, Retry, Sample, Stop, pack
from btcore.journal import Entry
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput, describe_time_zone

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
SYDNEY = ZoneInfo("Australia/Sydney")
DAY = datetime(2026, 6, 20, tzinfo=SYDNEY)
MOON_POWERED = (18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5)
KEY = "0123456789abcdef"
SHORTEST_INTERVAL = 300
NOON = 1_717_243_200

TABLE = """[sink.roof]
use = "pvoutput"
api_key = "0123456789abcdef"
system_id = "12345"
generation = "01000777_ch1"
max_calls_per_hour = 0
url = "URL"
"""


def sunny(hours: float = 24, *, start: float = 0, spike: float = -1, standby: int = 0) -> Iterator[Entry]:
    """Yield what a GEM sends of one sunny day in Sydney, each minute; `spike` is the hour of five minutes of 60 kW."""
    energy = 10**9
    for at in range(int(start * 3600), int(hours * 3600) + 1, 60):
        moment = DAY + timedelta(seconds=at)
        hour = moment.hour + moment.minute / 60
        watts = 3000 * math.sin((hour - 7) / 10 * math.pi) if 7 <= hour <= 17 else standby
        if 0 <= at - spike * 3600 < SHORTEST_INTERVAL:
            watts = 60_000
        energy += int(watts * 60)
        values = {"volts": 240.0, "secs": 5000 + at, "ch1_aws": energy, "ch1_pws": energy}
        raw = pack("gem48pbin", "01000777", values)
        yield Entry(round(moment.timestamp() * 1e6), "roof", "01000777", "gem48pbin", raw)


@pytest.fixture
def sydney() -> Iterator[PVOutputServer]:
    """Run a PVOutput whose system is in Sydney, where it is two in the morning after."""
    now = (DAY + timedelta(days=1, hours=2)).timestamp()
    with PVOutputServer(clock=lambda: now, zone=SYDNEY, night=MOON_POWERED, limit=10_000) as running:
        yield running


def run(folder: Path, server: PVOutputServer, more: str, entries: Iterator[Entry] | tuple[Entry, ...] = ()) -> str:
    """Deliver all that was not delivered; return why the sink stopped. Nothing may be set aside."""
    sink = sink_from_toml(folder, TABLE.replace("URL", server.url) + more)
    worker = deliver_entries(sink, entries, folder)
    assert worker.dead_letters == 0
    return worker.stop_reason


def generating(server: PVOutputServer) -> dict[tuple[str, str], str]:
    """Return the slots in which something was generated."""
    return {slot: values["v2"] for slot, values in server.slots.items() if values.get("v2", "0") != "0"}


# --- the zone


@pytest.mark.parametrize("whole", [True, False], ids=["refused whole", "refused by the row"])
@pytest.mark.parametrize("wrong", ["UTC", "Pacific/Auckland", "Asia/Dubai", "America/New_York"])
def test_a_wrong_zone_costs_no_status(tmp_path: Path, sydney: PVOutputServer, wrong: str, whole: bool) -> None:
    """The advice names `zone` first, and what it is; once that is mended, all that was not taken is sent.

    What was generated at hours that are day in either zone is taken as it comes, hours off: nobody can tell.
    """
    with PVOutputServer(clock=sydney.clock, zone=SYDNEY, night=MOON_POWERED, limit=10_000) as right:
        (tmp_path / "right").mkdir()
        assert run(tmp_path / "right", right, 'zone = "Australia/Sydney"\n', sunny()) == ""
        expected = generating(right)
    sydney.whole = whole
    stop_reason = run(tmp_path, sydney, f'zone = "{wrong}"\n', sunny())
    assert "Moon Powered; check `zone` first: " in stop_reason
    assert (
        f'and `zone` is "{wrong}". If that is the time zone of the system on pvoutput.org, check `gener' in stop_reason
    )
    before = generating(sydney)
    sydney.slots.clear()
    assert run(tmp_path, sydney, 'zone = "Australia/Sydney"\n') == ""
    found = generating(sydney)
    assert list(found.items()) == list(expected.items())[-len(found) :]
    assert (len(expected), len(found) + len(before) >= 120) == (120, True)
    # in UTC and in Dubai it is night when the sun rises in Sydney: not even the first few watts are lost
    assert wrong not in ("UTC", "Asia/Dubai") or (before, found) == ({}, expected)


def test_the_zone_of_this_computer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the setting is left out, with its name and offset."""
    for name, shown in (("UTC", "UTC"), ("Asia/Kolkata", "IST, UTC+05:30"), ("America/St_Johns", "NDT, UTC-02:30")):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", name)
            time.tzset()
            told = describe_time_zone("")
        time.tzset()
        expected = f"`zone` is left out, so the times are those that this computer is set to: {shown}"
        assert told in (expected, expected.replace("NDT, UTC-02:30", "NST, UTC-03:30"))
    assert describe_time_zone("Europe/Berlin") == '`zone` is "Europe/Berlin"'


def test_an_inverter_s_few_watts_at_night_go_alone(tmp_path: Path, sydney: PVOutputServer) -> None:
    """After real power was taken by day: each such status is set aside by itself, and nothing stops."""
    sink = sink_from_toml(tmp_path, TABLE.replace("URL", sydney.url) + 'zone = "Australia/Sydney"\n')
    worker = deliver_entries(sink, sunny(24, start=12, standby=5), tmp_path)
    assert worker.stop_reason == ""
    assert worker.dead_letters == 6 * 12 + 1  # from 18:00 to midnight
    assert len(generating(sydney)) == 6 * 12 - 1


def test_they_may_be_left_out(tmp_path: Path, sydney: PVOutputServer) -> None:
    """With `night = "leave-out"` the status is sent without generation, where there is anything else in it."""
    more = 'zone = "Australia/Sydney"\nnight = "leave-out"\nconsumption = "01000777_ch2"\n'
    assert run(tmp_path, sydney, more, sunny(24, standby=500)) == ""
    midnight, noon = (sydney.slots["20260620", at] for at in ("03:00", "12:00"))
    assert (midnight.get("v1"), midnight.get("v2"), midnight["v4"]) == (None, None, "0")
    assert (int(noon["v2"]) > 2900, len(sydney.slots)) == (True, 288)


# --- one status, or the set-up


def samples(make_sample: MakeSample, *watts: float, consumed: float = 0.0) -> Batch:
    """Return slots up to noon in which so much was generated, and consumed on channel 1."""
    count = len(watts)
    return Batch(
        samples=tuple(
            make_sample(
                NOON - SHORTEST_INTERVAL * (count - 1 - place),
                ch2_nwh=5000.0 + place,
                ch2_pwh=0.0,
                ch2_nw=each,
                ch2_pw=0.0,
                ch1_pwh=9000.0 + place,
                ch1_nwh=0.0,
                ch1_pw=consumed,
                ch1_nw=0.0,
            )
            for place, each in enumerate(watts)
        )
    )


MOON = Reply(400, "Bad request 400: Moon Powered")
TOO_HIGH = Reply(400, "Bad request 400: Power value [9] too high for system size [5]")


@pytest.mark.parametrize(
    ("accepted", "watts", "expected"),
    [
        ([], 5, Stop),  # nothing that generates was ever taken: the zone or the flow is wrong
        ([], 150, Stop),
        ([0, 50], 5, Stop),
        ([2000], 5, Reject),
        ([2000], 99, Reject),
        ([2000], 100, Stop),  # real power at what is night there
    ],
)
def test_a_status_at_night(
    server: PVOutputServer,
    make_sink: MakeSink,
    make_sample: MakeSample,
    accepted: Sequence[float],
    watts: float,
    expected: type[BtcoreError],
) -> None:
    """The set-up is to blame for real power at night, and for whatever is refused before anything was taken."""
    sink = make_sink(server, generation_direction="export")
    if accepted:
        sink.process_batch(samples(make_sample, *accepted))
    server.fail(MOON)
    with pytest.raises(expected, match="night"):
        sink.process_batch(samples(make_sample, watts))


@pytest.mark.parametrize(
    ("accepted", "expected"), [([], Stop), ([0], Stop), ([2000], Reject)], ids=["nothing", "zeros", "real power"]
)
def test_a_status_that_is_too_high(
    server: PVOutputServer,
    make_sink: MakeSink,
    make_sample: MakeSample,
    accepted: Sequence[float],
    expected: type[BtcoreError],
) -> None:
    """One number that cannot be is set aside; where no real power was ever taken, the size or the channel is wrong."""
    sink = make_sink(server)
    if accepted:
        sink.process_batch(samples(make_sample, *accepted))
    server.fail(TOO_HIGH)
    with pytest.raises(expected, match=r"check the system's size on pvoutput\.org"):
        sink.process_batch(samples(make_sample, 9000))


def test_one_spike_in_a_good_day_goes_alone(tmp_path: Path, sydney: PVOutputServer) -> None:
    """Also where it comes first: a status that tells is asked for before anything is decided."""
    sydney.size = 5000
    sink = sink_from_toml(tmp_path, TABLE.replace("URL", sydney.url) + 'zone = "Australia/Sydney"\n')
    worker = deliver_entries(sink, sunny(12, spike=7.25), tmp_path)
    assert (worker.stop_reason, worker.dead_letters) == ("", 2)
    assert len(sydney.slots) == 12 * 12 - 2


def test_a_size_in_the_wrong_unit_costs_nothing(tmp_path: Path, sydney: PVOutputServer) -> None:
    """A system of 5 W, which was to be 5 kW: the sink stops, and once that is mended all is sent."""
    sydney.size = 5
    stop_reason = run(tmp_path, sydney, 'zone = "Australia/Sydney"\n', sunny())
    assert "too high for system size [5]; check the system's size on pvoutput.org, and that `generation`" in stop_reason
    sydney.size = 5000
    assert run(tmp_path, sydney, 'zone = "Australia/Sydney"\n') == ""
    assert len(generating(sydney)) == 120


def test_a_house_without_panels_is_told_by_what_it_consumes(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Consumption is real power too: after it was taken, one number that cannot be is set aside."""
    sink = make_sink(server)
    sink.process_batch(samples(make_sample, 0.0, consumed=400.0))
    server.fail(TOO_HIGH)
    with pytest.raises(Stop):
        sink.process_batch(samples(make_sample, 0.0))
    sink = make_sink(server, consumption=ChannelRef("01000010", "ch1"))
    sink.process_batch(samples(make_sample, 0.0, consumed=400.0))
    server.fail(TOO_HIGH)
    with pytest.raises(Reject):
        sink.process_batch(samples(make_sample, 0.0, consumed=9e6))


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (MOON, Stop, "check `zone` first: 20 W"),
        (Reply(200, "OK 200"), Reject, "20 W may be"),
        (Reply(500), Retry, "500"),
    ],
)
def test_few_watts_are_judged_by_what_was_refused_with_them(
    server: PVOutputServer,
    make_sink: MakeSink,
    make_sample: MakeSample,
    answer: Reply,
    expected: type[BtcoreError],
    words: str,
) -> None:
    """The next status with real power is sent by itself: at night too, or not; where that fails, it is tried again."""
    both, sink = samples(make_sample, 20, 200), make_sink(server)
    server.fail(MOON, MOON, answer)
    with pytest.raises(Reject):
        sink.process_batch(both)
    with pytest.raises(expected, match=words):
        sink.process_batch(Batch(samples=both.samples[:1]))
    assert [request.form.get("t") for request in server.requests] == [None, "11:55", "12:00"]


# --- what is counted


def test_the_readings_that_something_was_sent_of_are_counted(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Two meters in one status are two readings; another meter, and a first reading without a sample, are none."""
    sink = make_sink(server, consumption=ChannelRef("399999", "ch1"))
    roof = make_sample(NOON - 40, ch2_nwh=5000, ch2_pwh=0, ch2_nw=1500, ch2_pw=0)
    house = make_sample(NOON - 3, "399999", "ecm1240bin", ch1_nwh=0, ch1_pwh=700, ch1_nw=0, ch1_pw=812.5)
    other = make_sample(NOON - 2, "01000099", ch2_nw=5.0, ch2_pw=0.0)
    readings = tuple(sample.newer for sample in (roof, house, other))
    batch = Batch((roof.older, *readings), (roof, house, other))
    assert sink.process_batch(batch) == 2
    assert sink.process_batch(Batch(readings[2:], (other,))) == 0
    assert sink.process_batch(Batch((roof.older,))) == 0
    assert len(server.accepted) == 1


def test_a_meter_whose_channel_is_mistyped_counts_nothing(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Nothing is sent, and the core is told so: the place does not move."""
    sample = make_sample(NOON, ch2_nwh=5000, ch2_pwh=0, ch2_nw=1500, ch2_pw=0)
    sink = make_sink(server, generation=ChannelRef("399999", "ch2"))
    assert sink.process_batch(Batch((sample.newer,), (sample,))) == 0
    assert server.requests == []
