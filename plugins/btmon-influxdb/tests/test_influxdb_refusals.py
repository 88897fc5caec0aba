# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server does not take: what waits for a person is one clear line, what is never taken a dead letter."""

import json
import logging
import math
import re
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from helpers.influxdb_sinks import recorded_batch, settings_for
from servers.influxdb_api import InfluxApi, InfluxDB2, InfluxDB3
from servers.time_series_servers import InfluxDB, VictoriaMetrics, post

from btcore import Batch, Reject, Secret, Stop
from btcore.records import from_microseconds
from btcore.testing import HostedService, Reply, Request, wait_for
from btmon_influxdb.sink import InfluxDB as Sink

Opened = Callable[..., Sink]
PASSWORD = "pass-word"
HOUR = 3_600_000_000


def stop_of(sink: Sink, batch: Batch | None = None) -> str:
    """Return the line with which a sink stops."""
    with pytest.raises(Stop) as caught:
        sink.process_batch(batch or recorded_batch())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def login(user: str = "writer", password: str = PASSWORD) -> dict[str, Any]:
    """Return the settings of a user."""
    return {"user": user, "password": Secret(password)}


# --- users and databases


@pytest.mark.servers
def test_a_user_with_the_right_to_write_is_enough(guarded: InfluxDB, opened: Opened) -> None:
    """Where the database exists, nothing but the right to write is needed."""
    opened(**settings_for(guarded, **login())).process_batch(recorded_batch())
    assert guarded.points("house")


@pytest.mark.servers
@pytest.mark.parametrize(
    ("user", "words"),
    [
        (login(password="wr0ng-word"), "^InfluxDB answered 401: authorization failed; check `user` and `password`"),
        (login("nobody"), "401: .*; check `user` and `password`"),
        (login("reader"), "403: .*not authorized to write to database.*; check `user` and `password`, and that"),
        ({}, "401: .*; check `user` and `password`"),
    ],
)
def test_a_user_that_is_refused_stops_the_sink(
    user: dict[str, Any], words: str, guarded: InfluxDB, opened: Opened
) -> None:
    """A wrong password, an unknown user, one without the right, and none: the line says what to check."""
    assert re.search(words, line := stop_of(opened(**settings_for(guarded, **user))))
    assert not any(secret in line for secret in (PASSWORD, "wr0ng-word"))


@pytest.mark.servers
def test_a_database_that_the_user_may_not_create_is_for_an_administrator(guarded: InfluxDB, opened: Opened) -> None:
    """The line has the statements that help."""
    line = stop_of(opened(**settings_for(guarded, database="new house", **login())))
    assert line == (
        "there is no database new house, and the user may not create it; an administrator runs: CREATE DATABASE"
        ' "new house"; GRANT ALL ON "new house" TO the user'
    )


@pytest.mark.servers
def test_a_database_is_created_where_there_is_none_and_nowhere_else(
    influxdb: InfluxDB, house: str, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS F6: it is created with the first points, and again after it was dropped, not before each batch."""
    caplog.set_level(logging.INFO)
    sink = opened(**settings_for(influxdb))
    for _ in range(2):
        for _ in range(2):
            sink.process_batch(recorded_batch())
        influxdb.query(f'DROP DATABASE "{house}"')
    assert [record.getMessage() for record in caplog.records] == ["created database house"] * 2


def test_a_database_that_cannot_be_created_is_not_created_for_ever(opened: Opened) -> None:
    """A server that says yes, and has no database all the same, stops the sink after one try."""
    with HostedService(lambda came: Reply(200, '{"results":[{}]}') if came.path == "/query" else missing) as server:
        missing = Reply(404, '{"error":"database not found: \\"house\\""}')
        stop_of(opened(**settings_for(server)))
        assert [one.path for one in server.requests] == ["/write", "/query", "/write"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"token": Secret("wr0ng-token")}, "401: .*unauthorized.*; check `token`"),
        ({"bucket": "other"}, "404: .*bucket .*other.* not found.*; create the bucket, or correct `bucket`"),
        ({"org": "other"}, "404: .*organization name .*other.* not found.*; correct `org`"),
    ],
)
def test_influxdb_2_names_what_to_correct(
    settings: dict[str, Any], words: str, influxdb2: InfluxDB2, opened: Opened
) -> None:
    """Token, bucket and organization are told apart, and no token is shown."""
    assert re.search(words, line := stop_of(opened(**settings_for(influxdb2, **settings))))
    assert "wr0ng-token" not in line


def test_influxdb_3_names_the_token(influxdb3: InfluxDB3, opened: Opened) -> None:
    """A token that is refused is to be checked."""
    assert "check `token`" in stop_of(opened(**settings_for(influxdb3, token=Secret("wr0ng-token"))))


@pytest.mark.servers
@pytest.mark.parametrize("header", [{}, {"user": "btcore", "password": Secret("wr0ng-word")}])
def test_victoriametrics_may_ask_for_a_password(header: dict[str, Any], opened: Opened) -> None:
    """A wrong password and none stop the sink; the right one is taken."""
    with VictoriaMetrics(flags=["-httpAuth.username=btcore", f"-httpAuth.password={PASSWORD}"]) as server:
        assert "check `user` and `password`" in stop_of(opened(**settings_for(server, **header)))
        opened(**settings_for(server, **login("btcore"))).process_batch(recorded_batch())


@pytest.mark.servers
def test_another_server_than_the_one_that_is_set(influxdb: InfluxDB, victoria: VictoriaMetrics, opened: Opened) -> None:
    """A page that a server does not have leads to the setting that names the server."""
    three = {"server": "influxdb-3", "database": "house"}
    for server in (influxdb, victoria):
        assert "check `" in (line := stop_of(opened(url=server.url, **three)))
        assert "`server`" in line


# --- points


@pytest.mark.servers
def test_what_is_all_beyond_the_retention_becomes_dead_letters_at_once(
    influxdb: InfluxDB, house: str, opened: Opened
) -> None:
    """A batch of which the database keeps nothing is refused as a whole, with the server's reason."""
    influxdb.query(f'CREATE DATABASE "{house}" WITH DURATION 2h')
    with pytest.raises(Reject, match="points beyond retention policy") as caught:
        opened(**settings_for(influxdb)).process_batch(recorded_batch())
    assert caught.value.whole_batch


def test_what_is_stored_of_a_request_is_not_sent_again(
    influxdb2: InfluxDB2, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """After a partial write the rest counts as delivered, and the log says how many points are not there, and why."""
    server, batch = influxdb2, recorded_batch()
    server.oldest = batch.samples[2].newer.key
    sink = opened(**settings_for(server))
    assert sink.process_batch(batch) == len(batch.samples)
    every = len(sink.preview_batch(batch))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert f"has dropped {every - len(server.points)} of {every} points, and stored the others: " in warning
    assert "retention" in warning
    assert len(server.requests) == 1


def test_influxdb_3_stores_all_of_a_request_or_nothing(influxdb3: InfluxDB3, opened: Opened) -> None:
    """It is told to, as it does not name all that it drops: the core finds the readings that are refused."""
    batch = recorded_batch()
    influxdb3.oldest = batch.samples[2].newer.key
    sink = opened(**settings_for(influxdb3))
    with pytest.raises(Reject, match="before the retention") as caught:
        sink.process_batch(batch)
    assert (influxdb3.points, caught.value.whole_batch) == ({}, False)
    sink.process_batch(Batch(batch.readings[3:], batch.samples[2:]))
    assert influxdb3.points


@pytest.mark.servers
def test_a_partial_write_of_influxdb_1(
    influxdb: InfluxDB, house: str, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """Points behind the retention are counted; those within it are there."""
    batch, now = recorded_batch(), int(time.time() * 1e6)
    moved = [attrs.evolve(one.newer, time=from_microseconds(now - n * HOUR)) for n, one in enumerate(batch.samples)]
    recent = [attrs.evolve(one, newer=newer) for one, newer in zip(batch.samples, moved, strict=True)]
    influxdb.query(f'CREATE DATABASE "{house}" WITH DURATION 150m')
    sink = opened(**settings_for(influxdb))
    assert sink.process_batch(Batch(tuple(moved), tuple(recent))) == len(recent)
    assert "points beyond retention policy" in caplog.text
    assert {point[2] for point in influxdb.points(house)} == {one.key for one in moved[:3]}


@pytest.mark.servers
def test_a_measurement_of_another_program_stops_the_sink(influxdb: InfluxDB, house: str, opened: Opened) -> None:
    """A field that is an integer there can take no float, today and tomorrow: the line says what to set."""
    influxdb.query(f'CREATE DATABASE "{house}"')
    at = recorded_batch().samples[0].newer.key
    post(f"{influxdb.url}/write?db={house}&precision=u", f"energy,of=other watts=1i {at}\n")
    line = stop_of(opened(**settings_for(influxdb)))
    assert "field type conflict" in line
    assert "set another `measurement`" in line


@pytest.mark.parametrize("kind", ["influxdb2", "influxdb3"])
def test_a_field_of_another_type_stops_the_sink(kind: str, opened: Opened, request: pytest.FixtureRequest) -> None:
    """In 2.x and 3.x too."""
    server: InfluxApi = request.getfixturevalue(kind)
    server.integers = {"watts"}
    assert "set another `measurement`" in stop_of(opened(**settings_for(server)))


@pytest.mark.servers
def test_a_database_that_is_full_of_series_stops_the_sink(influxdb: InfluxDB, house: str, opened: Opened) -> None:
    """`max-series-per-database` of a real server is named."""
    influxdb.query(f'CREATE DATABASE "{house}"')
    post(f"{influxdb.url}/write?db={house}", "".join(f"other,n={n} v=1\n" for n in range(5000)))
    assert "max-series-per-database" in stop_of(opened(**settings_for(influxdb)))


def test_a_line_that_cannot_be_read_is_refused(opened: Opened) -> None:
    """What the server cannot parse is no partial write: the core finds the reading that it is of."""
    why = "partial write: unable to parse 'energy watts= 1': missing field value dropped=0"
    with (
        HostedService(Reply(400, json.dumps({"error": why}))) as server,
        pytest.raises(Reject, match="unable to parse"),
    ):
        opened(**settings_for(server)).process_batch(recorded_batch())


# --- what VictoriaMetrics would lose without a word


@pytest.mark.servers
def test_what_victoriametrics_would_not_keep_is_refused(opened: Opened) -> None:
    """With its usual retention of a month, and for a clock that is ahead, it answers 204: nothing is sent to it."""
    with VictoriaMetrics(retention="1") as server:
        now, batch = int(time.time() * 1e6), recorded_batch()
        sink = opened(**settings_for(server))
        for hours, words, is_all in (
            (40 * 24, "older than 31 days: start it with a longer -retentionPeriod", True),
            (31 * 24 - 3, "older than 31 days", False),
            (-72, "two days ahead", True),
        ):
            with pytest.raises(Reject, match=words) as caught:
                sink.process_batch(moved(batch, now - hours * HOUR, HOUR))
            assert caught.value.whole_batch == is_all
        assert server.export() == []
        sink.process_batch(moved(batch, now - 30 * 24 * HOUR))
        wait_for(server.export, "what is within the retention")


def moved(batch: Batch, end: int, step: int = 10_000_000) -> Batch:
    """Return the samples of a batch, so far apart, so that the last ends at this time."""
    times = [from_microseconds(end - step * n) for n in reversed(range(len(batch.samples)))]
    newer = [attrs.evolve(one.newer, time=time) for one, time in zip(batch.samples, times, strict=True)]
    return Batch(tuple(newer), tuple(attrs.evolve(s, newer=n) for s, n in zip(batch.samples, newer, strict=True)))


@pytest.mark.parametrize(
    ("metrics", "days"),
    [
        ('flag{name="retentionPeriod", value="1", is_set="false"} 1', 31),
        ('flag{name="retentionPeriod", value="100y", is_set="true"} 1', 36_500),
        ('flag{name="retentionPeriod", value="1.5w", is_set="true"} 1', 10.5),
        ('flag{name="retentionPeriod", value="36h", is_set="true"} 1', 1.5),
        ("no such flag", math.inf),
    ],
)
def test_every_way_to_write_a_retention_is_read(metrics: str, days: float, opened: Opened) -> None:
    """What is not known, as behind a proxy, refuses nothing."""

    def answer(came: Request) -> Reply:
        return Reply(200, f"other 1\n{metrics}\n") if came.path == "/metrics" else Reply(204)

    now, batch = time.time() * 1e6, recorded_batch()
    with HostedService(answer) as server:
        sink = opened(url=server.url, server="victoriametrics")
        for age in (0.9 * days, 1.1 * days) if days < math.inf else (10_000.0,):
            of_age = moved(batch, round(now - age * 24 * HOUR))
            if age > days:
                with pytest.raises(Reject):
                    sink.process_batch(of_age)
            else:
                assert sink.process_batch(of_age) == len(batch.samples)
        assert [one.path for one in server.requests].count("/metrics") == 1
