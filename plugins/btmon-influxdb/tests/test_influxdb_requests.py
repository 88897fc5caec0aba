# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch is sent in requests of so many bytes, and what the server has taken is not sent again with the rest."""

import gzip
from collections.abc import Callable

import pytest
from helpers.influxdb_sinks import recorded_batch, settings_for
from helpers.line_protocol import read_lines
from servers.influxdb_api import InfluxDB2
from servers.time_series_servers import InfluxDB

from btcore import Reject, Retry
from btcore.testing import Reply
from btmon_influxdb.sink import InfluxDB as Sink

Opened = Callable[..., Sink]


def test_requests_have_so_many_bytes(opened: Opened, influxdb2: InfluxDB2) -> None:
    """A batch is cut between readings into requests of at most so many bytes, and each point is sent once."""
    batch = recorded_batch("gem48ptbin_steady")
    sink = opened(**settings_for(influxdb2))
    sink._writer.max_bytes = 12_000
    sink.process_batch(batch)
    sizes = [len(gzip.decompress(one.body)) for one in influxdb2.requests]
    assert len(sizes) > 1
    assert max(sizes) <= 12_000
    lines = [line for one in influxdb2.requests for line in read_lines(gzip.decompress(one.body).decode())]
    assert len(lines) == len(influxdb2.points) == len(sink.preview_batch(batch))


def test_a_request_that_is_too_large_is_cut(opened: Opened, influxdb2: InfluxDB2) -> None:
    """After a 413 the same points come in smaller requests, and so do all later ones; nothing is refused."""
    influxdb2.max_bytes = 4000
    batch = recorded_batch("gem48ptbin_steady")
    sink = opened(**settings_for(influxdb2))
    assert sink.process_batch(batch) == len(batch.samples)
    refused = sum(one.reply.code == 413 for one in influxdb2.requests)
    sink.process_batch(batch)
    assert (refused > 0, sum(one.reply.code == 413 for one in influxdb2.requests)) == (True, refused)
    assert len(influxdb2.points) == len(sink.preview_batch(batch))


def test_a_reading_that_is_too_large_by_itself_is_refused(opened: Opened, influxdb2: InfluxDB2) -> None:
    """A server that takes not even one reading's points gets no second try with it."""
    influxdb2.max_bytes = 10
    with pytest.raises(Reject, match="413"):
        opened(**settings_for(influxdb2)).process_batch(recorded_batch())


@pytest.mark.servers
def test_a_limit_of_influxdb_1_is_kept(opened: Opened) -> None:
    """`max-body-size` of a real server cuts the requests, and all points are there."""
    with InfluxDB(http="max-body-size = 3000") as server:
        batch = recorded_batch("gem48ptbin_steady")
        sink = opened(**settings_for(server))
        sink.process_batch(batch)
        assert len({point[:3] for point in server.points("house")}) == len(sink.preview_batch(batch))


def test_what_was_taken_is_not_sent_again_with_the_rest(opened: Opened, influxdb2: InfluxDB2) -> None:
    """Where the second request of a batch fails, the next attempt begins with that one."""
    batch = recorded_batch("gem48ptbin_steady")
    sink = opened(**settings_for(influxdb2))
    sink._writer.max_bytes = 12_000
    influxdb2.answer = lambda came: influxdb2.respond(came) if not influxdb2.requests else Reply(503)
    with pytest.raises(Retry):
        sink.process_batch(batch)
    influxdb2.answer = influxdb2.respond
    assert sink.process_batch(batch) == len(batch.samples)
    bodies = [one.body for one in influxdb2.taken]
    assert len(bodies) == len(set(bodies))
    assert len(influxdb2.points) == len(sink.preview_batch(batch))


def test_a_replay_of_the_last_batch_is_sent(opened: Opened, influxdb2: InfluxDB2) -> None:
    """What was delivered completely is sent again where it is asked for: rows may have been deleted."""
    batch = recorded_batch()
    sink = opened(**settings_for(influxdb2))
    sink.process_batch(batch)
    influxdb2.points.clear()
    sink.process_batch(batch)
    assert influxdb2.points


@pytest.mark.parametrize("code", [429, 503])
def test_the_server_says_how_long_to_wait(code: int, opened: Opened, influxdb2: InfluxDB2) -> None:
    """Retry-After is what the core is told."""
    influxdb2.fail(Reply(code, "", {"Retry-After": "17"}))
    with pytest.raises(Retry) as caught:
        opened(**settings_for(influxdb2)).process_batch(recorded_batch())
    assert caught.value.after == 17


@pytest.mark.parametrize("body", ["[" * 100_000, '{"error": {"a": 1}}', '{"message": "\\u001b[2J\\n\\ud800"}', "null"])
def test_an_answer_of_any_kind_is_one_line(body: str, opened: Opened, influxdb2: InfluxDB2) -> None:
    """What a server answers is shown as one plain line, whatever it is."""
    influxdb2.fail(Reply(500, body))
    with pytest.raises(Retry) as caught:
        opened(**settings_for(influxdb2)).process_batch(recorded_batch())
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("reply", [Reply(500, '{"error":"timeout"}'), Reply(200, "<html>Welcome"), Reply(wire="reset")])
def test_what_may_be_well_again_is_tried_again(reply: Reply, opened: Opened, influxdb2: InfluxDB2) -> None:
    """A fault of the server, a page that is none of a database's, and a broken connection are no refusal."""
    influxdb2.fail(reply)
    sink = opened(**settings_for(influxdb2))
    with pytest.raises(Retry):
        sink.process_batch(recorded_batch())
    sink.process_batch(recorded_batch())
    assert influxdb2.points


def test_the_timeout_is_used(opened: Opened, influxdb2: InfluxDB2) -> None:
    """QUIRKS F6: a server that does not answer is not waited for without end; btmon never used its timeout."""
    influxdb2.fail(Reply(wire="hang"))
    with pytest.raises(Retry, match=r"did not answer within 0\.2 s"):
        opened(**settings_for(influxdb2, timeout=0.2)).process_batch(recorded_batch())
