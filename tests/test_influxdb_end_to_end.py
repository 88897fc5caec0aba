# SPDX-License-Identifier: GPL-3.0-or-later
"""Through the whole program into InfluxDB and VictoriaMetrics: a back-fill, servers and programs killed, gaps."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers.time_series_servers import InfluxDB, TimeSeriesServer, VictoriaMetrics

from btcore.cli import OK, main
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

START = "2026-03-01T00:00Z"
START_KEY = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6)
PACKETS = 400
SITE = 'state = "state"\n\n[source.file]\npath = "capture"\n\n'


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record a simulated ECM."""
    monkeypatch.chdir(tmp_path)
    record("ecm1240bin", PACKETS)


def record(form: str, packets: int) -> None:
    """Record a simulated meter."""
    words = ["simulate", "--format", form, "--packets", str(packets), "--start", START, "--output", "capture"]
    assert main(words) == OK


def table(server: TimeSeriesServer, **more: object) -> str:
    """Return the table of a sink, which tries again soon."""
    kind = "victoriametrics" if isinstance(server, VictoriaMetrics) else "influxdb-1"
    lines = [f'url = "{server.url}"', f'server = "{kind}"', 'database = "house"', 'max_backoff = "200ms"']
    lines += [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(["[sink.influxdb]", *lines, 'min_backoff = "100ms"', ""])


def watts_in(server: TimeSeriesServer) -> list[int]:
    """Return the times, in microseconds, of the power of a channel; one that is there twice, twice."""
    if isinstance(server, VictoriaMetrics):
        found = server.export('{__name__="energy_watts",channel="ch1"}')
        return sorted(1000 * time for series in found for time in series["timestamps"])
    assert isinstance(server, InfluxDB)
    if ["house"] not in server.query("SHOW DATABASES")[0].get("values", []):
        return []
    rows = server.query("SELECT watts FROM energy WHERE channel = 'ch1' GROUP BY *", "house")
    return sorted(row[0] for series in rows for row in series["values"])


def hold_in_the_middle(btcore: BtcoreProcess, server: TimeSeriesServer) -> None:
    """Hold the program once a server has a part of the capture."""
    wait_for(lambda: watts_in(server), "the first points")
    btcore.process.send_signal(signal.SIGSTOP)
    assert len(watts_in(server)) < PACKETS - 1


@pytest.mark.parametrize("kind", [InfluxDB, VictoriaMetrics])
def test_a_hundred_thousand_points_in_one_back_fill(
    kind: type[TimeSeriesServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of a GEM, all of whose channels are used, are there once, at the times at which they were measured."""
    monkeypatch.chdir(tmp_path)
    record("gem48ptbin", 2600)
    with kind() as server:
        Path("site.toml").write_text(SITE + table(server))
        assert main(["run", "--once", "--quiet"]) == OK
        assert len(watts_in(server)) == 2599
        assert count_points(server) > 100_000


def count_points(server: TimeSeriesServer) -> int:
    """Count the points that a server has, each of which has one of these fields."""
    fields = ("wh_import", "volts", "value")
    if isinstance(server, VictoriaMetrics):
        return sum(len(series["values"]) for name in fields for series in server.export(f"energy_{name}"))
    assert isinstance(server, InfluxDB)
    (found,) = server.query(f"SELECT {', '.join(f'COUNT({name})' for name in fields)} FROM energy", "house")
    return sum(found["values"][0][1:])


def test_influxdb_killed_in_the_middle_has_everything_once(capture: None, tmp_path: Path) -> None:
    """The program waits for a server that was killed, and goes on; no reading is a dead letter."""
    with InfluxDB() as server:
        with BtcoreProcess(tmp_path, SITE + table(server, batch_size=4), "--once") as btcore:
            hold_in_the_middle(btcore, server)
            server.kill()
            btcore.process.send_signal(signal.SIGCONT)
            wait_for(lambda: "trying again" in btcore.log, "the program to find out")
            server.start()
            assert btcore.finish() == OK
        times = watts_in(server)
        assert (len(times), len(set(times))) == (PACKETS - 1, PACKETS - 1)
        assert "dead letter" not in btcore.log.replace("0 dead letters", "")


@pytest.mark.parametrize("kind", [InfluxDB, VictoriaMetrics])
def test_a_restart_of_the_server_is_waited_for(kind: type[TimeSeriesServer], capture: None, tmp_path: Path) -> None:
    """A server that is stopped and started again in the middle of a back-fill has everything, once."""
    with kind() as server:
        with BtcoreProcess(tmp_path, SITE + table(server, batch_size=4), "--once") as btcore:
            hold_in_the_middle(btcore, server)
            server.stop()
            btcore.process.send_signal(signal.SIGCONT)
            wait_for(lambda: "trying again" in btcore.log, "the program to find out")
            server.start()
            assert btcore.finish() == OK
        times = watts_in(server)
        assert len(set(times)) == PACKETS - 1
        assert abs(times[0] - START_KEY) < 60_000_000
        assert len(times) - len(set(times)) <= (4 if kind is VictoriaMetrics else 0)


def test_the_program_killed_in_the_middle_delivers_the_rest(capture: None, tmp_path: Path) -> None:
    """After a kill the same program goes on where it was; what it sends again replaces itself."""
    with InfluxDB() as server:
        site = SITE + table(server, batch_size=4)
        with BtcoreProcess(tmp_path, site, "--once") as btcore:
            hold_in_the_middle(btcore, server)
            btcore.process.kill()
            btcore.process.wait()
        with BtcoreProcess(tmp_path, site, "--once") as btcore:
            assert btcore.finish() == OK
        times = watts_in(server)
        assert (len(times), len(set(times))) == (PACKETS - 1, PACKETS - 1)


@pytest.fixture(params=[InfluxDB, VictoriaMetrics])
def filled(request: pytest.FixtureRequest, capture: None) -> Iterator[TimeSeriesServer]:
    """Run a server that has the capture."""
    with request.param() as server:
        Path("site.toml").write_text(SITE + table(server))
        assert main(["run", "--once", "--quiet"]) == OK
        yield server


def test_a_gap_is_found_and_filled(filled: TimeSeriesServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What a database lost is found by `replay --gaps`, and is what it was afterwards; nothing else is written."""
    before = watts_in(filled)
    if isinstance(filled, InfluxDB):
        first, last = before[100], before[149]
        filled.query(f"DELETE WHERE time >= {first}u AND time <= {last}u", "house")
        missing = 50
    else:  # it deletes series only
        assert isinstance(filled, VictoriaMetrics)
        filled.delete('{channel="ch1"}')
        missing = PACKETS - 1
    assert len(watts_in(filled)) == len(before) - missing
    capsys.readouterr()
    assert main(["replay", "influxdb", "--gaps"]) == OK
    stored = PACKETS - missing  # with the first reading, of which there is no sample
    expected = f"sink.influxdb: {missing} delivered, {missing} missing, {stored} already there\n"
    assert capsys.readouterr().out == expected
    wait_for(lambda: watts_in(filled) == before, "what was delivered to be there")


def test_doctor_names_what_is_wrong(filled: TimeSeriesServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A healthy server gives no finding of the sink, one that is down gives one."""
    Path("site.toml").chmod(0o600)
    main(["doctor", "--json", "--for", "1s"])
    assert "sink.influxdb" not in capsys.readouterr().out
    filled.stop()
    main(["doctor", "--json", "--for", "1s"])
    assert '"unreachable"' in capsys.readouterr().out
