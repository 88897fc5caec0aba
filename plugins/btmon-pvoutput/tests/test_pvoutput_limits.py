# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's limits: requests an hour, and catching up after an outage without breaking one."""

from collections.abc import Callable

import pytest
from servers.pvoutput import PVOutputServer

from btcore import Batch, Retry, Sample
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = 1_717_243_200


def batch(make_sample: MakeSample, end: float = NOON, count: int = 1) -> Batch:
    """Return so many slots up to `end`, oldest first; the energy is that of 1200 W."""
    return Batch(
        samples=tuple(
            make_sample(moment, ch2_nwh=(moment - NOON + 1e8) / 3, ch2_pwh=0.0, ch2_nw=1200.0, ch2_pw=0.0)
            for moment in (end - 300 * back for back in reversed(range(count)))
        )
    )


def test_when_the_hour_is_spent_no_request_is_spent_on_learning_it_again(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """The last answer said that none is left: the sink waits for the reset by itself."""
    server.limit = 2
    sink = make_sink(server)
    sink.process_batch(batch(make_sample))
    sink.process_batch(batch(make_sample))
    for _ in range(3):
        with pytest.raises(Retry) as error:
            sink.process_batch(batch(make_sample))
        assert error.value.after == 3570.0
    assert len(server.requests) == 2


def test_after_the_reset_it_goes_on(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Callable[[], float]
) -> None:
    """When the hour is over the next request is sent."""
    server.limit = 1
    sink = make_sink(server)
    sink.process_batch(batch(make_sample))
    with pytest.raises(Retry) as error:
        sink.process_batch(batch(make_sample))
    clock.now += error.value.after  # type: ignore[attr-defined]
    sink.process_batch(batch(make_sample))
    assert len(server.requests) == 2


def test_where_others_spent_the_hour_the_refusal_says_until_when(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Another program with the same key used it up: 403 with the reset, which is waited for."""
    server.limit = 0
    sink = make_sink(server)
    for _ in range(2):
        with pytest.raises(Retry) as error:
            sink.process_batch(batch(make_sample))
        assert error.value.after == 3570.0
    assert len(server.requests) == 1


def test_a_refusal_without_a_time_is_left_to_the_core(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """No reset in the answer: the core waits longer each time."""
    server.fail(Reply(403, "Forbidden 403: Exceeded 60 requests per hour"))
    with pytest.raises(Retry) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert error.value.after is None


@pytest.mark.parametrize("reset", ["99999999999", "1", "tomorrow"])
def test_a_nonsensical_reset_delays_by_no_more_than_an_hour(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, reset: str
) -> None:
    """Whatever the header says, an hour is the most that PVOutput counts over."""
    limits = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": reset}
    server.fail(Reply(403, "Forbidden 403: Exceeded 60 requests per hour", limits))
    with pytest.raises(Retry) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert error.value.after is None or 1.0 <= error.value.after <= 3600.0


def test_a_host_whose_clock_is_wrong_waits_the_right_time(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Callable[[], float]
) -> None:
    """The wait is reckoned by the service's own clock, from its Date: here the service is years behind this host."""
    server.clock = lambda: 1_000_000_000.0
    server.limit = 0
    with pytest.raises(Retry) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert error.value.after == 800.0


def test_after_a_week_s_outage_every_slot_arrives_in_order_within_the_limits(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Callable[[], float]
) -> None:
    """2016 slots are 68 requests, 60 in the first hour and the rest in the next; none twice, none missing."""
    sink = make_sink(server)
    server.outage = Reply(503, "down")
    with pytest.raises(Retry):
        sink.process_batch(batch(make_sample))
    server.outage = None
    server.requests.clear()
    week = list(batch(make_sample, NOON, 2016).samples)
    waits: list[float | None] = []
    while week:
        try:
            sink.process_batch(Batch(samples=tuple(week[:30])))
        except Retry as error:
            waits.append(error.after)
            clock.now += error.after or 0  # type: ignore[attr-defined]
        else:
            del week[:30]
    assert waits == [3570.0]
    assert len(server.requests) == 68
    sent = [(status["d"], status["t"]) for status in server.accepted]
    assert (len(sent), sent) == (2016, sorted(set(sent)))
    assert {status["v2"] for status in server.accepted} == {"1200"}
