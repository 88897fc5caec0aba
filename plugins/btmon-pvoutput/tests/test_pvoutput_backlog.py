# SPDX-License-Identifier: GPL-3.0-or-later
"""A backlog from before what PVOutput takes: the service says so, cheaply, and all that is newer arrives."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from servers.pvoutput import HOUR, PVOutputServer

from btcore import Batch, Reject, Retry, Sample
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = 1_717_243_200
DAY = 288
"""Slots of a day."""

TOO_OLD = 15 * DAY
"""Slots before noon, of which the oldest are older than 14 days."""


def slots(make_sample: MakeSample, newest: int, count: int) -> list[Sample]:
    """Return so many samples, oldest first, up to `newest` slots before noon; the energy is that of 1200 W."""
    return [
        make_sample(NOON - 300 * back, ch2_nwh=(1e6 - back) * 100, ch2_pwh=0.0, ch2_nw=1200.0, ch2_pw=0.0)
        for back in reversed(range(newest, newest + count))
    ]


def refusal(sink: PVOutput, samples: Sequence[Sample]) -> Reject:
    """Return how a batch is refused."""
    with pytest.raises(Reject) as error:
        sink.process_batch(Batch(samples=tuple(samples)))
    return error.value


def test_a_batch_that_is_too_old_is_refused_as_a_whole_after_one_more_request(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Its newest status is asked for by itself: if that is too old, so are the others."""
    samples = slots(make_sample, TOO_OLD, 30)
    error = refusal(make_sink(server), samples)
    assert (error.whole_batch, "older than 14 days" in str(error)) == (True, True)
    assert [request.form.get("t", "") for request in server.requests] == ["", "12:00"]


def test_a_batch_with_something_newer_is_to_be_halved(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Where the newest status is taken, others may be."""
    samples = slots(make_sample, TOO_OLD, 1) + slots(make_sample, 0, 29)
    assert refusal(make_sink(server), samples).whole_batch is False
    assert [slot for _, slot in server.slots] == ["12:00"]


def test_a_batch_whose_newest_is_refused_for_another_reason_is_to_be_halved(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """That one is not too old; the others may be neither."""
    server.size = 5000
    bad = make_sample(NOON, ch2_nw=99_000.0, ch2_pw=0.0)
    error = refusal(make_sink(server), [*slots(make_sample, TOO_OLD, 1), bad])
    assert (error.whole_batch, "older than 14 days" in str(error)) == (False, True)


def test_a_status_by_itself_is_not_asked_for_again(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Two meters in one old slot are one status: it is refused for both, by one request."""
    both = [*slots(make_sample, TOO_OLD, 1), make_sample(NOON - 300 * TOO_OLD - 9, ch2_nw=1.0, ch2_pw=0.0)]
    assert refusal(make_sink(server), both).whole_batch is True
    assert len(server.requests) == 1


def test_what_is_bad_for_another_reason_is_never_refused_as_a_whole(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """One bad status of thirty says nothing of the others, and no request is spent on asking."""
    server.fail(Reply(400, "Bad request 400: Could not read v1"))
    assert refusal(make_sink(server), slots(make_sample, 0, 30)).whole_batch is False
    assert len(server.requests) == 1


def parts(samples: list[Sample]) -> Iterator[list[Sample]]:
    """Yield full batches."""
    for start in range(0, len(samples), 30):
        yield samples[start : start + 30]


def deliver(sink: PVOutput, samples: list[Sample], wait: Callable[[float], None]) -> int:
    """Deliver as the core does: wait, halve what is refused, or set it aside; return how many were."""
    try:
        sink.process_batch(Batch(samples=tuple(samples)))
    except Retry as error:
        wait(error.after or 0)
        return deliver(sink, samples, wait)
    except Reject as error:
        if error.whole_batch or len(samples) == 1:
            return len(samples)
        middle = len(samples) // 2
        return deliver(sink, samples[:middle], wait) + deliver(sink, samples[middle:], wait)
    return 0


@pytest.mark.parametrize("whole", [True, False], ids=["refused whole", "refused by the row"])
def test_of_two_months_all_arrive_that_are_not_too_old(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Callable[[], float], whole: bool
) -> None:
    """A month of old ones costs two requests for thirty; the host's own clock, here years ahead, has no say."""
    server.limit, server.whole = 100_000, whole
    sink = make_sink(server)

    def wait(seconds: float) -> None:
        assert seconds <= HOUR
        clock.now += seconds  # type: ignore[attr-defined]

    old, new = slots(make_sample, TOO_OLD, 30 * DAY), slots(make_sample, 0, 2 * DAY)
    assert sum(deliver(sink, part, wait) for part in parts(old)) == len(old)
    assert len(server.requests) == 2 * len(old) / 30
    assert sum(deliver(sink, part, wait) for part in parts(new)) == 0
    assert len(server.slots) == len(new)


def test_within_the_hour_s_limit_a_backlog_gets_through(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, clock: Callable[[], float]
) -> None:
    """Where old meets new a batch is halved as often as it takes, and each row that PVOutput takes arrives."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds  # type: ignore[attr-defined]

    edge = 14 * DAY + DAY // 2  # midnight, fourteen days ago
    samples = slots(make_sample, edge - 100, 200)
    aside = sum(deliver(make_sink(server), part, wait) for part in parts(samples))
    assert (aside, len(server.slots), waits) == (99, 101, [])
    assert len(server.requests) <= 25
