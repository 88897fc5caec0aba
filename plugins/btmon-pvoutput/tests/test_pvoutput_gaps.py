# SPDX-License-Identifier: GPL-3.0-or-later
"""What PVOutput does not have, for `btcore replay --gaps`: each day is asked for once, and nothing is sent for it."""

from collections.abc import Callable

import pytest
from servers.pvoutput import HOUR, PVOutputServer

from btcore import Batch, ChannelRef, Reject, Retry, Sample, Stop
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = 1_717_243_200
SLOT = 300


def batch_of(make_sample: MakeSample, *ends: float, **more: object) -> Batch:
    """Return a batch with a sample that ends at each of these moments."""
    samples = tuple(
        make_sample(end, ch2_nwh=1000.0, ch2_pwh=0.0, ch2_nw=120.0, ch2_pw=0.0, ch1_nwh=0.0, ch1_pwh=7.0, **more)
        for end in ends
    )
    return Batch(tuple(sample.newer for sample in samples), samples)


def keys_of(batch: Batch) -> set[tuple[str, int]]:
    """Return serial number and key of the readings."""
    return {(one.serial, one.key) for one in batch.readings}


def test_what_the_system_has_is_found(server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample) -> None:
    """Of a span with a hole the hole alone is missing; asking sends nothing."""
    sink = make_sink(server)
    ends = [NOON - SLOT * back for back in range(60)]
    sent, hole = batch_of(make_sample, *ends[:20], *ends[30:60]), batch_of(make_sample, *ends[20:30])
    for some in (ends[:20], ends[30:60]):
        sink.process_batch(batch_of(make_sample, *some))
    kept = dict(server.slots)
    asked = batch_of(make_sample, *ends)
    assert set(sink.find_stored(asked)) == keys_of(asked) - keys_of(hole) == keys_of(sent)
    assert server.slots == kept
    sink.process_batch(hole)
    assert len(server.slots) == 60


def test_a_day_is_asked_for_once(server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample) -> None:
    """A replay of a day takes one request, however many batches it has; all of its 288 statuses are in the answer."""
    sink = make_sink(server)
    ends = [NOON - 43_200 - SLOT * back for back in range(1, 289)]  # a day, from midnight on
    for start in range(0, 288, 30):
        sink.process_batch(batch_of(make_sample, *ends[start : start + 30]))
    before = len(server.requests)
    for start in range(0, 288, 30):
        asked = batch_of(make_sample, *ends[start : start + 30])
        assert set(sink.find_stored(asked)) == keys_of(asked)
    pages = [(one.path.rpartition("/")[2], one.form["d"]) for one in server.requests[before:]]
    assert pages == [("getstatus.jsp", "20240531")]


def test_a_day_without_a_status_is_missing(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """The answer "No status found" is no error."""
    assert make_sink(server).find_stored(batch_of(make_sample, NOON)) == []


def test_a_status_without_the_consumption_is_missing(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """What the settings gained later is found to be missing."""
    batch = batch_of(make_sample, NOON)
    make_sink(server).process_batch(batch)
    both = make_sink(server, consumption=ChannelRef("01000010", "ch1"))
    assert both.find_stored(batch) == []
    both.process_batch(batch)
    again = make_sink(server, consumption=ChannelRef("01000010", "ch1"))
    assert set(again.find_stored(batch)) == keys_of(batch)


def test_what_makes_no_status_is_not_missing(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """A meter that the settings do not name is no gap, and no request is made for it."""
    other = batch_of(make_sample, NOON, serial="01000099")
    assert set(make_sink(server).find_stored(other)) == keys_of(other)
    assert server.requests == []


def test_the_limit_of_requests_holds_for_questions_too(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Once the requests of the hour are used up, it waits for the next hour without asking."""
    server.limit = 1
    sink = make_sink(server)
    sink.process_batch(batch_of(make_sample, NOON))
    with pytest.raises(Retry) as error:
        sink.find_stored(batch_of(make_sample, NOON))
    assert (len(server.requests), 0 < (error.value.after or 0) <= HOUR) == (1, True)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, "<html>welcome</html>"), Retry),
        (Reply(200, "20240601,11:50,1"), Retry),
        (Reply(500, "oops"), Retry),
        (Reply(403, "Forbidden 403: Exceeded 60 requests per hour"), Retry),
        (Reply(401, "Unauthorized 401: Invalid API Key"), Stop),
        (Reply(400, "Bad request 400: Date is older than 14 days"), Reject),
    ],
)
def test_an_answer_that_tells_nothing_is_no_gap(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, reply: Reply, expected: type[Exception]
) -> None:
    """Nothing is taken for missing because the service failed, or answered with something else."""
    server.fail(reply)
    with pytest.raises(expected):
        make_sink(server).find_stored(batch_of(make_sample, NOON))
