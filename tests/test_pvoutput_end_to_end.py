# SPDX-License-Identifier: GPL-3.0-or-later
"""From a capture to PVOutput, through the whole program: slots, batches, and what can go wrong on the way."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.solar_house import (
    PVOUTPUT_SETTINGS,
    SLOT,
    HouseReading,
    expected_statuses,
    house_capture_line,
    house_readings,
    sunshine,
)
from helpers.times import SECOND
from servers.pvoutput import EMPTY, ERROR, HANG, HOUR, LOST, RESET, PVOutputServer

from btcore.testing import BtcoreProcess, Clock, free_port, wait_for

pytestmark = pytest.mark.servers

EVERY = 10
SLOTS = 48
STEPS = SLOTS * SLOT // EVERY

SITE = """
state = "state"

[source.file]
path = "capture.json"

[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""

BAD_SLOT = 20
BRIGHT = 20_000
"""Watts that a system of 5 kW cannot generate."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PVOutputServer]:
    """Run a PVOutput, with its key where the configuration looks for it."""
    monkeypatch.setenv("PVO_KEY", PVOutputServer.key)
    with PVOutputServer() as running:
        yield running


@pytest.fixture
def start() -> int:
    """Return when the capture begins, at the end of a slot: some hours ago, as PVOutput takes no old statuses."""
    return (int(time.time()) // SLOT - SLOTS - 1) * SLOT


@pytest.fixture
def readings(tmp_path: Path, start: int) -> list[HouseReading]:
    """Write a capture of both meters; return what is in it."""
    return recorded(tmp_path, house_readings(start, EVERY, STEPS))


def recorded(folder: Path, readings: Iterator[HouseReading]) -> list[HouseReading]:
    """Write the capture that the program plays; return what is in it."""
    made = list(readings)
    (folder / "capture.json").write_text("".join(map(house_capture_line, made)))
    return made


def site(port: int, more: str = "") -> str:
    """Return a configuration with the sink under test."""
    return f'{SITE}\n[sink.roof]{PVOUTPUT_SETTINGS}url = "http://127.0.0.1:{port}"\n{more}'


def run(folder: Path, site: str) -> tuple[int, str]:
    """Run until all is delivered; return the exit code, and the log of all runs."""
    with BtcoreProcess(folder, site, "--once", "--verbose") as btcore:
        return btcore.finish(), told(btcore)


def told(btcore: BtcoreProcess) -> str:
    """Return the log, in which the key must not be."""
    assert PVOutputServer.key not in btcore.log
    return btcore.log


def test_every_slot_arrives_once(tmp_path: Path, server: PVOutputServer, readings: list[HouseReading]) -> None:
    """Each slot is sent once, in order, with both meters' exact averages and counters, in few requests."""
    code, log = run(tmp_path, site(server.port))
    assert (code, server.accepted) == (0, expected_statuses(readings)), log
    assert len(server.accepted) == SLOTS
    assert len(server.requests) < SLOTS // 4


def test_a_new_sink_is_sent_the_backlog_in_full_batches(
    tmp_path: Path, server: PVOutputServer, readings: list[HouseReading]
) -> None:
    """A sink that is added later gets every slot since the journal began, thirty to a request."""
    assert run(tmp_path, SITE)[0] == 0
    code, log = run(tmp_path, site(server.port))
    assert (code, server.accepted) == (0, expected_statuses(readings)), log
    assert [request.form["data"].count(";") + 1 for request in server.requests] == [30, 18]


def test_a_service_that_is_down_at_the_start(
    tmp_path: Path, readings: list[HouseReading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody answers the sink waits and says so; once somebody does, each slot is sent once."""
    monkeypatch.setenv("PVO_KEY", PVOutputServer.key)
    port = free_port()
    with BtcoreProcess(tmp_path, site(port), "--once", "--verbose") as btcore:
        wait_for(lambda: "Connection refused; trying again" in btcore.log, "the failure to be told")
        with PVOutputServer(port=port) as server:
            assert (btcore.finish(), server.accepted) == (0, expected_statuses(readings)), btcore.log
    assert "sink.roof: recovered" in told(btcore)


def test_failures_before_a_request_is_taken(
    tmp_path: Path, server: PVOutputServer, readings: list[HouseReading]
) -> None:
    """After an error, an empty answer, a broken connection and a server that hangs, each slot is sent once."""
    server.fail(ERROR, EMPTY, RESET, HANG)
    code, log = run(tmp_path, site(server.port, 'timeout = "300ms"\n'))
    assert (code, server.accepted) == (0, expected_statuses(readings)), log


def test_an_answer_that_gets_lost(tmp_path: Path, server: PVOutputServer, readings: list[HouseReading]) -> None:
    """What was taken, but not acknowledged, is sent again as it was, and nothing else is."""
    assert run(tmp_path, SITE)[0] == 0
    server.fail(LOST)
    code, log = run(tmp_path, site(server.port))
    expected = expected_statuses(readings)
    assert (code, server.accepted) == (0, expected[:30] + expected), log


def test_the_hour_is_used_up(tmp_path: Path, server: PVOutputServer, readings: list[HouseReading]) -> None:
    """When other programs have used up the requests of the hour, the sink waits until the Reset, then goes on."""
    clock = Clock((time.time() // HOUR + 1) * HOUR - 1)
    server.clock, server.limit = clock, 4
    for _ in range(server.limit):
        use_up_a_request(server)
    with BtcoreProcess(tmp_path, site(server.port), "--once", "--verbose") as btcore:
        wait_for(lambda: "Exceeded 4 requests per hour" in btcore.log, "the refusal to be told")
        assert server.accepted == []
        clock.now += HOUR
        assert (btcore.finish(), server.accepted) == (0, expected_statuses(readings)), btcore.log
    assert "waits 1 s, as the service asks" in told(btcore)


def use_up_a_request(server: PVOutputServer) -> None:
    """Send what is refused, and counted."""
    headers = {"X-Pvoutput-Apikey": server.key, "X-Pvoutput-SystemId": server.system}
    request = Request(f"{server.url}/service/r2/addbatchstatus.jsp", b"data=", headers)
    with pytest.raises(HTTPError, match="HTTP Error 400"):
        urlopen(request)


def test_one_bad_status_of_thirty(tmp_path: Path, server: PVOutputServer, start: int) -> None:
    """The one status for which a batch is refused is set aside alone and told; all others are sent once."""
    readings = recorded(tmp_path, house_readings(start, EVERY, STEPS, sun=brighter_for_a_slot))
    server.size = 5000
    assert run(tmp_path, SITE)[0] == 0
    code, log = run(tmp_path, site(server.port))
    good, bad = expected_statuses(readings), start + (BAD_SLOT + 1) * SLOT
    assert good.pop(BAD_SLOT)["v2"] == str(BRIGHT)
    assert (code, server.accepted) == (0, good), log
    ends = {counted.serial: moment(counted) for counted in readings if counted.slot == bad}
    assert table_rows(tmp_path / JOURNAL_FILE, "dead_letter", "sink, serial, end_time") == [
        ("sink.roof", serial, end.isoformat()) for serial, end in ends.items()
    ]
    assert all(f"a reading became a dead letter: meter {serial} until {end}: " in log for serial, end in ends.items())
    assert log.count("a reading became a dead letter") == 2
    assert f"Power value [{BRIGHT}] too high" in log


def brighter_for_a_slot(step: int) -> int:
    """Watts, which in one slot cannot be."""
    return BRIGHT if (step + 1) * EVERY // SLOT == BAD_SLOT else sunshine(step)


def moment(counted: HouseReading) -> datetime:
    """Return when a reading was received."""
    return datetime.fromtimestamp(counted.time // SECOND, UTC)


def test_a_wrong_key(
    tmp_path: Path, server: PVOutputServer, readings: list[HouseReading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is refused parks the sink, which keeps its readings; with the right one, each slot is sent once."""
    monkeypatch.setenv("PVO_KEY", "wrong-key")
    code, log = run(tmp_path, site(server.port))
    assert (code, len(server.requests), server.accepted) == (69, 1, [])
    assert "sink.roof: stopped until a restart: PVOutput answered 401: Unauthorized" in log
    assert "check `api_key` and `system_id`" in log
    assert "wrong-key" not in log
    assert table_rows(tmp_path / JOURNAL_FILE, "entry", "count(*)") == [(len(readings),)]
    monkeypatch.setenv("PVO_KEY", server.key)
    code, log = run(tmp_path, site(server.port))
    assert (code, server.accepted) == (0, expected_statuses(readings)), log
    assert table_rows(tmp_path / JOURNAL_FILE, "dead_letter", "*") == []
