# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVOutput holds to be in the future: a wrong date of a meter holds up nothing, a wrong zone costs nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries
from servers.pvoutput import PVOutputServer, Reply

from btcore import Batch, Reject, Retry, Sample, Stop
from btcore.journal import Entry
from btcore.testing import Clock
from btcore.testing import Clock as WaitingClock
from btmon_pvoutput.future_statuses import MAX_WAIT, FuturePolicy
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = 1_717_243_200
HOUR = 3600
DAY = 86_400


def batch(make_sample: MakeSample, *ends: float) -> Batch:
    """Return slots that end then."""
    return Batch(samples=tuple(make_sample(end, ch2_nwh=1e6, ch2_pwh=0.0, ch2_nw=1200.0, ch2_pw=0.0) for end in ends))


def ask(sink: PVOutput, batch: Batch) -> Exception | None:
    """Return how a batch is refused."""
    try:
        sink.process_batch(batch)
    except (Reject, Retry, Stop) as error:
        return error
    return None


# --- by whose clock


def test_a_status_that_is_in_the_future_by_this_computer_s_clock_too_is_refused_at_once(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """It is its date that is wrong; it is told."""
    error = ask(make_sink(server), batch(make_sample, NOON + DAY))
    assert isinstance(error, Reject)
    assert "20240602 12:00 is in the future by this computer's clock too" in str(error)


def test_several_of_them_are_refused_as_a_whole(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Not one by one, for a request each."""
    error = ask(make_sink(server), batch(make_sample, NOON + DAY, NOON + DAY + 300))
    assert isinstance(error, Reject)
    assert error.whole_batch
    assert "20240602 12:00 to 20240602 12:05 is in the future" in str(error)


@pytest.mark.parametrize("whole", [True, False])
def test_one_of_them_among_good_ones_is_to_be_halved(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, whole: bool
) -> None:
    """The good ones are not refused with it."""
    server.whole = whole
    error = ask(make_sink(server), batch(make_sample, NOON - 300, NOON, NOON + DAY))
    assert isinstance(error, Reject)
    assert not error.whole_batch


def test_where_pvoutput_alone_says_so_it_is_waited_for_six_hours(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Clock
) -> None:
    """This computer's clock may be set right by itself; then the zone is wrong, and a person has to mend it."""
    sink, one = make_sink(server), batch(make_sample, NOON)
    server.outage = Reply(400, "Bad request 400: Date is in the future [20240601]")
    began = clock.now
    while isinstance(error := ask(sink, one), Retry):
        assert "`zone` the time zone of the system on pvoutput.org" in str(error)
        assert '`zone` is "UTC"' in str(error)
        clock.now += error.after or 0
    assert isinstance(error, Stop)
    assert "20240601 12:00 has been in the future there for 6 h" in str(error)
    assert MAX_WAIT <= clock.now - began < MAX_WAIT + 600


def test_one_that_was_taken_meanwhile_begins_a_new_wait(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Clock
) -> None:
    """The clocks agreed for a while."""
    sink = make_sink(server)
    for slot in (NOON - 600, NOON - 300):
        server.outage = Reply(400, "Bad request 400: Date is in the future [20240601]")
        assert isinstance(ask(sink, batch(make_sample, slot)), Retry)
        clock.now += MAX_WAIT - 1
        server.outage = None
        assert ask(sink, batch(make_sample, slot)) is None


# --- the whole way


@pytest.fixture
def waiting() -> WaitingClock:
    """Stand at noon; waiting takes no time."""
    return WaitingClock(NOON)


@pytest.fixture
def service(waiting: WaitingClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[PVOutputServer]:
    """Run a PVOutput whose time is that of the waiting, as is this computer's."""
    monkeypatch.setattr("btmon_pvoutput.client.FuturePolicy", partial(FuturePolicy, clock=waiting, now=waiting))
    with PVOutputServer(clock=waiting, key="k3y") as running:
        yield running


TABLE = """[sink.roof]
use = "pvoutput"
api_key = "k3y"
system_id = "12345"
zone = "UTC"
generation = "312345_ch1"
generation_direction = "import"
consumption = "355555_ch1"
url = "URL"
"""


def test_a_device_in_2099_holds_up_nothing(tmp_path: Path, service: PVOutputServer, waiting: WaitingClock) -> None:
    """Its statuses are set aside, those of the other meter all arrive, at once."""
    right = list(ecm1240_entries(2 * HOUR, start=NOON - 2 * HOUR))
    wrong = list(ecm1240_entries(HOUR, serial="355555", start=NOON + 75 * 365 * DAY))
    worker = deliver_entries(
        sink_from_toml(tmp_path, TABLE.replace("URL", service.url)), mixed(right, wrong), tmp_path, waiting
    )
    assert worker.stop_reason == ""
    assert len(service.slots) == 24
    assert {day for day, _ in service.slots} == {"20240601"}
    assert worker.dead_letters >= 12
    assert waiting.now - NOON < 2 * HOUR


def test_a_zone_that_is_wrong_costs_no_status(tmp_path: Path, service: PVOutputServer, waiting: WaitingClock) -> None:
    """Hours ahead of PVOutput: told, waited for, then the sink stops; once it is mended, all that waited is sent."""
    table = TABLE.replace("URL", service.url)
    wrong = sink_from_toml(tmp_path, table.replace('"UTC"', '"Asia/Tokyo"'))
    worker = deliver_entries(wrong, ecm1240_entries(2 * HOUR, start=NOON - 2 * HOUR), tmp_path, waiting)
    assert (worker.dead_letters, '`zone` is "Asia/Tokyo"' in worker.stop_reason) == (0, True)
    assert MAX_WAIT <= waiting.now - NOON < MAX_WAIT + 4 * HOUR
    assert service.slots == {}
    waiting.clear()
    worker = deliver_entries(sink_from_toml(tmp_path, table), [], tmp_path, waiting)
    assert (worker.stop_reason, worker.dead_letters, len(service.slots)) == ("", 0, 24)


def mixed(some: list[Entry], others: list[Entry]) -> Iterator[Entry]:
    """Yield the packets of two meters in turns, as they come in."""
    for place, entry in enumerate(some):
        yield entry
        if place < len(others):
            yield others[place]
