# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore doctor` and `btcore check --create` find out, without writing a point; and which points are stored."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from helpers.influxdb_sinks import recorded_batch, settings_for
from servers.database_servers import free_port
from servers.influxdb_api import InfluxApi, InfluxDB2, InfluxDB3
from servers.time_series_servers import InfluxDB, VictoriaMetrics

from btcore import Batch, Context, DiagnosisContext, Finding, Reject, Retry, Secret
from btcore.testing import HostedService, Reply
from btmon_influxdb.sink import InfluxDB as Sink

Opened = Callable[..., Sink]
CONTEXT = DiagnosisContext(name="sink.influxdb")
SERVERS = [pytest.param(name, marks=pytest.mark.servers) for name in ("influxdb", "victoria")] + [
    "influxdb2",
    "influxdb3",
]


def findings(**settings: Any) -> list[Finding]:  # noqa: ANN401 - any setting
    """Return what is found of a sink."""
    return list(Sink(**settings).diagnose(CONTEXT))


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_well(kind: str, request: pytest.FixtureRequest) -> None:
    """Nothing is found, and nothing written."""
    server = request.getfixturevalue(kind)
    assert findings(**settings_for(server, database="" if kind == "influxdb2" else "never")) == []
    if isinstance(server, InfluxApi):
        assert server.points == {}
    if isinstance(server, InfluxDB):
        assert ["never"] not in server.query("SHOW DATABASES")[0].get("values", [])


@pytest.mark.servers
@pytest.mark.parametrize("user", ["writer", "reader"])
def test_users_of_influxdb_1(user: str, guarded: InfluxDB) -> None:
    """A right that is missing and a wrong password are found, and the password is not shown."""
    login = {"user": user, "password": Secret("pass-word")}
    assert [one.code for one in findings(**settings_for(guarded, **login))] == ["credentials"] * (user == "reader")
    (found,) = findings(**settings_for(guarded, user=user, password=Secret("wr0ng-word")))
    assert (found.code, "wr0ng-word" in str(found)) == ("credentials", False)
    assert found.advice.startswith("Check `user` and `password`")


def test_tokens_and_buckets(influxdb2: InfluxDB2, influxdb3: InfluxDB3) -> None:
    """A token that is refused is one finding, a bucket that is missing another."""
    for server in (influxdb2, influxdb3):
        (found,) = findings(**settings_for(server, token=Secret("wr0ng-token")))
        assert (found.code, "wr0ng-token" in str(found)) == ("credentials", False)
    (found,) = findings(**settings_for(influxdb2, bucket="other"))
    assert (found.code, found.advice) == ("sink-database", "Create the bucket, or correct `bucket`")


def test_a_server_that_is_not_there(influxdb2: InfluxDB2) -> None:
    """Nobody listens, or the server is ill: readings wait."""
    (found,) = findings(url=f"http://127.0.0.1:{free_port()}", database="house")
    assert found.code == "unreachable"
    influxdb2.fail(Reply(503))
    assert [one.code for one in findings(**settings_for(influxdb2))] == ["unreachable"]


@pytest.mark.servers
def test_check_creates_the_database(influxdb: InfluxDB, house: str) -> None:
    """`check --create` makes the database of an InfluxDB 1.x, and says so, once."""
    sink = Sink(**settings_for(influxdb))
    context = Context("sink.influxdb", logging.getLogger("sink.influxdb"))
    assert sink.create_storage(context, ()) == [f"created database {house} at {influxdb.url}"]
    assert sink.create_storage(context, ()) == []
    sink.close()


# --- which points are stored


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "layout",
    [{}, {"schema": "counters"}, {"schema": "ecmreadext", "mode": "row"}, {"schema": "ecmread", "mode": "dotted"}],
)
def test_a_database_tells_what_it_has(
    layout: dict[str, Any], kind: str, opened: Opened, request: pytest.FixtureRequest
) -> None:
    """Of a batch of which a part was written, that part is found; a renamed channel and new tags do not matter.

    The first reading has no sample, so nothing of it is missing.
    """
    server, batch = request.getfixturevalue(kind), recorded_batch("gem48ptbin_steady")
    own = settings_for(server, measurement=f"it's \"{len(str(layout))}", **layout)
    own |= {} if kind == "influxdb2" else {"database": f'stored as "{layout.get("schema")}"'}
    some = Batch(batch.readings[2:5], batch.samples[1:4])
    sink = opened(**own)
    nothing = [(one.serial, one.key) for one in batch.readings[: layout.get("schema") != "counters"]]
    if kind != "victoria":
        assert sink.find_stored(batch) == nothing
    sink.process_batch(some)
    if isinstance(server, VictoriaMetrics):
        server.export()
    renamed = Context("sink.test", logging.getLogger("sink.test"), channels={"01021234_ch1": "new name"})
    again = opened(**own, tags={"site": "hill"}, context=renamed)
    assert again.find_stored(batch) == nothing + [(one.serial, one.key) for one in batch.readings[2:5]]


@pytest.mark.servers
def test_a_user_that_may_only_write_is_told_so(guarded: InfluxDB, opened: Opened) -> None:
    """The question is refused, with what is needed; the sink itself goes on."""
    sink = opened(**settings_for(guarded, user="writer", password=Secret("pass-word")))
    with pytest.raises(Reject, match="403 to the question what is stored: that needs the right to read database house"):
        sink.find_stored(recorded_batch())
    sink.process_batch(recorded_batch())


HOSTILE = [
    *("", "ok", "[" * 100_000, "null", "{}", '{"results": 5}', '{"results": ["x"]}', '{"results": [{"series": 1}]}'),
    *('{"results": [{"error": {"a": 1}}]}', '{"results": [{"series": [{"values": [[1e999]]}]}]}', '{"timestamps": 7}'),
]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize("kind", ["influxdb-1", "victoriametrics"])
def test_an_answer_that_is_none_is_asked_for_again(kind: str, body: str, opened: Opened) -> None:
    """Whatever comes in place of times is no fault of the sink, and nothing counts as stored by it."""
    with HostedService(Reply(200, body)) as server:
        sink = opened(url=server.url, server=kind)
        with suppress(Retry):
            assert sink.find_stored(Batch((), recorded_batch().samples)) == []


def test_what_is_stored_in_part_is_not_stored(influxdb2: InfluxDB2, opened: Opened) -> None:
    """A reading whose last point is missing is written again."""
    batch = recorded_batch()
    sink = opened(**settings_for(influxdb2))
    sink.process_batch(batch)
    last = batch.samples[-1].newer.key
    for key in [key for key in influxdb2.points if key[2] == last and ("channel", "volts") in key[1]]:
        del influxdb2.points[key]
    assert sink.find_stored(batch) == [(one.serial, one.key) for one in batch.readings[:-1]]
