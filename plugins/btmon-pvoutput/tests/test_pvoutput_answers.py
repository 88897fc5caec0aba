# SPDX-License-Identifier: GPL-3.0-or-later
"""What each answer of the service comes to: delivered, tried again, set aside, or stopped."""

import re
from collections.abc import Callable

import pytest
from servers.pvoutput import DRIP, EMPTY, ERROR, FLOOD, HANG, LOST, RESET, PVOutputServer

from btcore import Batch, BtcoreError, ChannelRef, Reject, Retry, Sample, Secret, Stop
from btcore.testing import Reply
from btcore.web import Answer
from btmon_pvoutput.answers import ANSWER_RULES, refused_slots
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
MakeSample = Callable[..., Sample]
NOON = 1_717_243_200


def batch(make_sample: MakeSample, count: int = 1) -> Batch:
    """Return so many slots up to noon, oldest first."""
    return Batch(
        samples=tuple(
            make_sample(NOON - 300 * back, ch2_nwh=5000.0 - back, ch2_pwh=0.0, ch2_nw=100.0, ch2_pw=0.0)
            for back in reversed(range(count))
        )
    )


DOCUMENTED = [
    (400, "Bad request 400: Date is in the future [20240601]", Retry, "clock"),
    (400, "Bad request 400: Invalid future date [20240601]", Retry, "zone"),
    (400, "Bad request 400: Date is older than 14 days [20240101]", Reject, "14 days"),
    (400, "Bad request 400: Date is too far in the past [20240101]", Reject, "14 days"),
    (400, "Bad request 400: Moon Powered", Stop, "check `zone` first"),
    (
        400,
        "Bad request 400: Energy value [4] lower than previously recorded value: [5]",
        Reject,
        "was a channel or its direction changed",
    ),
    (400, "Bad request 400: Energy value [9] too high for [07:47]", Stop, "system's size"),
    (400, "Bad request 400: Energy value [9] too high for system size [5]", Stop, "system's size"),
    (400, "Bad request 400: Power value [9] too high for system size [5]", Stop, "system's size"),
    (400, "Bad request 400: Value number cannot exceed 250,000Wh [999999]", Stop, "system's size"),
    (400, "Bad request 400: Invalid System ID", Stop, "system_id"),
    (400, "Bad request 400: No statuses added or updated", Reject, "No statuses"),
    (400, "Bad request 400: Could not read v1", Reject, "Could not read v1"),
    (400, "Bad request 400: Invalid power value [-399]", Reject, "[-399]"),
    (400, "Bad request 400: something new", Reject, "something new"),
    (401, "Unauthorized 401: Invalid System ID", Stop, "check `system_id`"),
    (401, "Unauthorized 401: Invalid API Key", Stop, "api_key"),
    (401, "Unauthorized 401: Disabled API Key", Stop, "Settings page"),
    (401, "Unauthorized 401: Missing, invalid or inactive api key information", Stop, "api_key"),
    (403, "Forbidden 403: Read only key", Stop, "only read"),
    (403, "Forbidden 403: Donation Mode", Stop, "donation mode"),
    (403, "Forbidden 403: Exceeded 60 requests per hour", Retry, "60 requests"),
    (403, "<html>blocked by a proxy</html>", Retry, "blocked"),
    (404, "<html>Not Found</html>", Retry, "404"),
    (405, "Method Not Allowed 405: POST or GET only", Retry, "405"),
    (413, "Too large", Reject, "413"),
    (429, "Slow down", Retry, "429"),
    (500, "", Retry, "nothing"),
    (502, "Bad Gateway", Retry, "502"),
    (503, "Down for maintenance", Retry, "maintenance"),
    # a refusal that comes with HTTP's 200
    (200, "Bad request 400: Invalid date", Reject, "Invalid date"),
    (200, "Forbidden 403: Read only key", Stop, "only read"),
    # not PVOutput at all
    (200, "<html>Please log in to the hotel's network</html>", Retry, "hotel"),
    (200, "", Retry, "nothing"),
    (204, "", Retry, "204"),
]


@pytest.mark.parametrize("count", [1, 2], ids=["one status", "several"])
@pytest.mark.parametrize(("code", "text", "expected", "words"), DOCUMENTED)
def test_every_answer_has_its_meaning(
    server: PVOutputServer,
    make_sink: MakeSink,
    make_sample: MakeSample,
    count: int,
    code: int,
    text: str,
    expected: type[BtcoreError],
    words: str,
) -> None:
    """An answer is tried again, sets aside or stops, and says why and what to do, also for one of several statuses."""
    server.fail(Reply(code, text))
    with pytest.raises(BtcoreError) as error:
        make_sink(server).process_batch(batch(make_sample, count))
    if count > 1 and re.search("future|Moon|too high|exceed", text):
        # which of several it is is not known: they are to be halved
        assert (error.type, text in str(error.value)) == (Reject, True)
    else:
        assert (error.type, words in str(error.value)) == (expected, True)


def test_every_row_of_the_table_is_met() -> None:
    """No row of the table stands behind one that hides it."""
    for row in ANSWER_RULES:
        for words in row.pattern.split("|"):
            answer = Answer(row.code or 0, words.replace("?", ""))
            assert next(other for other in ANSWER_RULES if other.fits(answer)) is row


@pytest.mark.parametrize("count", [1, 2, 30])
def test_what_is_accepted_is_delivered(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, count: int
) -> None:
    """Returning means delivered: every slot is at the service, by one request."""
    make_sink(server).process_batch(batch(make_sample, count))
    assert (len(server.requests), len(server.slots)) == (1, count)


def test_more_than_thirty_statuses_are_several_requests(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """61 slots are two full requests and one of a single status."""
    make_sink(server).process_batch(batch(make_sample, 61))
    assert [request.path.rpartition("/")[2] for request in server.requests] == [
        "addbatchstatus.jsp",
        "addbatchstatus.jsp",
        "addstatus.jsp",
    ]
    assert len(server.slots) == 61


def test_nothing_to_say_is_no_request(server: PVOutputServer, make_sink: MakeSink) -> None:
    """A batch without samples costs none of the hour's requests."""
    make_sink(server).process_batch(Batch())
    assert server.requests == []


def test_one_bad_status_refuses_all_of_its_request(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """The core then halves the batch until the bad one stands alone: nothing was stored yet."""
    server.size = 5000
    good = batch(make_sample, 3).samples
    bad = make_sample(NOON - 3000, ch2_nw=99_000.0, ch2_pw=0.0)
    sink = make_sink(server)
    with pytest.raises(Reject, match=r"99000.*too high"):
        sink.process_batch(Batch(samples=(bad, *good)))
    assert server.slots == {}
    sink.process_batch(Batch(samples=good))
    assert len(server.slots) == 3
    with pytest.raises(Reject, match=r"99000.*too high"):
        sink.process_batch(Batch(samples=(bad,)))


def test_a_status_answered_with_0_is_sent_by_itself_to_learn_why(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """The service may store the others and answer 0 for one: alone, that one is told the reason."""
    server.size, server.whole = 5000, False
    bad = make_sample(NOON - 3000, ch2_nw=99_000.0, ch2_pw=0.0)
    with pytest.raises(Reject, match=r"99000.*too high"):
        make_sink(server).process_batch(Batch(samples=(bad, *batch(make_sample, 2).samples)))
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["addbatchstatus.jsp", "addstatus.jsp"]
    assert len(server.slots) == 2


def test_a_status_answered_with_0_may_be_stored_when_sent_by_itself(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """0 is also the answer where nothing changed: then the status is accepted by itself, and delivered."""
    server.fail(Reply(200, "20240601,11:55,0;20240601,12:00,1"))
    make_sink(server).process_batch(batch(make_sample, 2))
    assert [server.requests[1].form[name] for name in ("d", "t")] == ["20240601", "11:55"]


def test_results_are_read_as_the_service_may_write_them() -> None:
    """Hours may have one digit; 1 is added, anything but 0 stored in some way."""
    assert refused_slots(Answer(200, "20240601,7:05,1;20240601,7:10,0;20240601,7:15,2")) == {("20240601", "07:10")}


def test_the_same_batch_twice_is_the_same_at_the_service(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """After a crash a batch comes again: its slots hold what they held."""
    sink = make_sink(server)
    sink.process_batch(batch(make_sample, 5))
    once = dict(server.slots)
    sink.process_batch(batch(make_sample, 5))
    assert server.slots == once


def test_two_meters_in_two_batches_still_meet_in_one_slot(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Where one meter is late its part of the status is added to the slot."""
    sink = make_sink(server, consumption=ChannelRef("399999", "ch1"))
    sink.process_batch(batch(make_sample))
    late = make_sample(NOON, "399999", "ecm1240bin", ch1_pwh=700.0, ch1_pw=80.0)
    sink.process_batch(Batch(samples=(late,)))
    expected = {"v1": "5000", "v2": "100", "v3": "700", "v4": "80", "c1": "1"}
    assert server.slots == {("20240601", "12:00"): expected}


@pytest.mark.parametrize(
    "failure", [ERROR, EMPTY, RESET, LOST, DRIP, FLOOD], ids=["500", "empty", "reset", "lost", "drip", "flood"]
)
def test_a_broken_answer_is_tried_again_and_then_everything_is_there(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, failure: Reply
) -> None:
    """Whatever breaks on the way, the batch may come again, and the service then has it."""
    sink = make_sink(server, timeout=0.3)
    server.fail(failure)
    with pytest.raises(Retry):
        sink.process_batch(batch(make_sample, 3))
    sink.process_batch(batch(make_sample, 3))
    assert len(server.slots) == 3


def test_a_service_that_hangs_is_not_waited_for_longer_than_the_timeout(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """An answer that never comes is given up, with the time that was waited."""
    server.fail(HANG)
    with pytest.raises(Retry, match=r"127\.0\.0\.1:\d+ did not answer within 0\.2 s"):
        make_sink(server, timeout=0.2).process_batch(batch(make_sample))


def test_where_nothing_listens_the_reason_is_told_in_the_system_s_words(
    make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """The reason is in plain words, not in those of a library."""
    with pytest.raises(Retry) as error:
        make_sink(url="http://127.0.0.1:1").process_batch(batch(make_sample))
    assert str(error.value) == "no answer from 127.0.0.1:1: Connection refused"


def test_a_redirect_is_not_followed(server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample) -> None:
    """The key goes to the configured host alone; the message says so."""
    with PVOutputServer() as other:
        server.fail(Reply(307, "", {"Location": f"{other.url}/service/r2/addstatus.jsp"}))
        with pytest.raises(Retry, match="not followed"):
            make_sink(server).process_batch(batch(make_sample))
        assert other.requests == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [("120", 120.0), ("999999", 86400.0), ("0", 1.0), ("soon", None), ("-5", None), ("9" * 5000, None)],
)
def test_a_service_s_own_delay_is_kept_within_reason(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample, after: str, expected: float | None
) -> None:
    """Retry-After is kept up to a day; nonsense is left to the core."""
    server.fail(Reply(503, "", {"Retry-After": after}))
    with pytest.raises(Retry) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert error.value.after == expected


def test_a_delay_may_be_a_date(server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample) -> None:
    """Retry-After as a date counts from the service's own date."""
    server.fail(Reply(503, "", {"Retry-After": "Sat, 01 Jun 2024 12:02:30 GMT"}))
    with pytest.raises(Retry) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert error.value.after == 120.0


def test_words_of_the_service_are_shortened_and_kept_to_one_line(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """A page of thousands of characters, or one with line breaks, does not fill or forge the log."""
    server.fail(Reply(400, "Bad request 400: a\r\n2024-06-01 ERROR forged\x1b[2J" + "x" * 5000))
    with pytest.raises(Reject) as error:
        make_sink(server).process_batch(batch(make_sample))
    assert "a 2024-06-01 ERROR forged [2J" in str(error.value)
    assert len(str(error.value)) < 300
    assert str(error.value).isprintable()


def test_the_service_refuses_a_wrong_key_and_a_read_only_one(
    server: PVOutputServer, make_sink: MakeSink, make_sample: MakeSample
) -> None:
    """Both stop the sink: a person has to act."""
    with pytest.raises(Stop, match="Invalid API Key"):
        make_sink(server, api_key=Secret("other")).process_batch(batch(make_sample))
    server.read_only = True
    with pytest.raises(Stop, match="Read only key"):
        make_sink(server).process_batch(batch(make_sample))
