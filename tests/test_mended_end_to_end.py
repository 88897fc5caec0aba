# SPDX-License-Identifier: GPL-3.0-or-later
"""A mistake in site.toml, and its mending, through the whole program: it is told, and costs no reading."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.solar_house import (
    CONSUMPTION,
    GENERATION,
    PVOUTPUT_SETTINGS,
    SLOT,
    HouseReading,
    expected_statuses,
    house_capture_line,
    house_readings,
)
from helpers.times import SECOND
from servers.pvoutput import PVOutputServer

from btcore.testing import BtcoreProcess, HostedService, Reply, Request

pytestmark = pytest.mark.servers

SLOTS = 288
"""A day of them."""

EVERY = 60
SITE = """
state = "state"

[source.file]
path = "capture.json"
"""
NEVER = "was never heard; heard: "


@pytest.fixture
def readings(tmp_path: Path) -> list[HouseReading]:
    """Write a capture of a day of both meters; return what is in it."""
    start = (int(time.time()) // SLOT - SLOTS - 1) * SLOT
    made = list(house_readings(start, EVERY, SLOTS * SLOT // EVERY))
    (tmp_path / "capture.json").write_text("".join(map(house_capture_line, made)))
    return made


@pytest.fixture
def pvoutput(monkeypatch: pytest.MonkeyPatch) -> Iterator[PVOutputServer]:
    """Run a PVOutput, with its key where the configuration looks for it."""
    monkeypatch.setenv("PVO_KEY", PVOutputServer.key)
    with PVOutputServer() as running:
        yield running


def run(folder: Path, table: str) -> tuple[int, str]:
    """Run a site with this sink until all is delivered; return the exit code, and the log of this run."""
    with suppress(FileNotFoundError):
        (folder / "log.txt").unlink()
    with BtcoreProcess(folder, SITE + table, "--once") as btcore:
        return btcore.finish(), btcore.log


# --- a name that no meter has


def roof(server: PVOutputServer, **changed: str) -> str:
    """Return the table of a sink for PVOutput, with some of its settings changed."""
    lines = [line for line in PVOUTPUT_SETTINGS.splitlines() if line.partition(" ")[0] not in changed]
    more = [f"{name} = {value}" for name, value in changed.items()]
    return "\n".join(["[sink.roof]", *lines, *more, f'url = "http://127.0.0.1:{server.port}"'])


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (
            {"generation": '"399999_ch1"', "consumption": '"399999_ch2"'},
            f"[sink.roof] generation, consumption: meter 399999 {NEVER}",
        ),
        ({"meters": '["0100001"]'}, f"[sink.roof] meters: meter 0100001 {NEVER}"),
    ],
    ids=["channel", "meters"],
)
def test_pvoutput_gets_the_whole_day_after_mending(
    tmp_path: Path, pvoutput: PVOutputServer, readings: list[HouseReading], mistake: dict[str, str], told: str
) -> None:
    """Nothing is sent, and not said to be delivered; what is wrong is told; mended, all 288 statuses arrive, once."""
    for _ in range(2):
        code, log = run(tmp_path, roof(pvoutput, **mistake))
        assert (code, pvoutput.requests) == (0, []), log
        assert told in log
        assert "sink.roof: 0 readings delivered, 0 dead letters" in log
        assert "not selected by its settings" in log
        assert "sink.roof: its settings select nothing in " in log
    code, log = run(tmp_path, roof(pvoutput))
    assert (code, pvoutput.accepted) == (0, expected_statuses(readings)), log
    assert len(pvoutput.accepted) == SLOTS
    assert "sink.roof: its settings changed: looking again at the readings since " in log
    assert NEVER not in log
    code, log = run(tmp_path, roof(pvoutput))
    assert (code, len(pvoutput.accepted)) == (0, SLOTS), log


def test_a_database_gets_all_after_mending(tmp_path: Path, readings: list[HouseReading]) -> None:
    """A table for meters that do not exist stays empty, which is told; mended, it has every reading."""
    database = tmp_path / "energy.db"
    table = '[sink.sqlite]\nfile = "energy.db"\nflush_interval = 0\nmeters = ["{}"]\n'
    code, log = run(tmp_path, table.format("1001"))
    assert (code, table_rows(database, "gem48pbin_counters")) == (0, []), log
    assert f"[sink.sqlite] meters: meter 1001 {NEVER}" in log
    code, log = run(tmp_path, table.format(GENERATION))
    expected = [(one.serial, one.seconds) for one in readings if one.serial == GENERATION]
    assert (code, table_rows(database, "gem48pbin_counters")) == (0, expected), log
    assert table_rows(database, "ecm1240bin_counters") == []


def test_a_service_gets_all_after_mending(tmp_path: Path, readings: list[HouseReading]) -> None:
    """A map of one channel gets each reading of it, whichever way it was mistaken before."""
    expected = [one.time // SECOND for one in readings if one.serial == CONSUMPTION][1:]
    with HostedService(Reply(200, "ok")) as server:
        table = f'[sink.emoncms]\nurl = "{server.url}"\ntoken = "0123456789abcdef"\nmeters = ["{{}}"]\n'
        code, log = run(tmp_path, table.format("312354"))
        assert (code, server.requests) == (0, []), log
        assert f'{NEVER}{CONSUMPTION} (1 more); did you mean "{CONSUMPTION}"?' in log
        code, log = run(tmp_path, table.format(CONSUMPTION))
        assert (code, [row[0] for row in sent(server)]) == (0, expected), log


# --- a setting that a service refuses


def sent(server: HostedService) -> list[list[Any]]:
    """Return the rows that emoncms was sent, each a time, a node, and its inputs."""
    return [row for request in server.requests for row in json.loads(request.form["data"])]


def numbered(request: Request) -> Reply:
    """Refuse a node that is no number, in words that nobody has seen before."""
    return Reply(422, "nope") if '"shed"' in request.form["data"] else Reply(200, "ok")


def test_a_setting_that_is_refused_stops_the_sink_and_loses_nothing(
    tmp_path: Path, readings: list[HouseReading]
) -> None:
    """After a handful of requests it stops, and names the settings; with another node everything is delivered."""
    with HostedService(numbered) as server:
        table = f'[sink.emoncms]\nurl = "{server.url}"\ntoken = "0123456789abcdef"\nnode = "{{}}"\n'
        code, log = run(tmp_path, table.format("shed"))
        assert (code, len(server.requests) <= 6) == (69, True), log
        assert "emoncms answered 422: nope; 3 readings were rejected, one by one" in log
        assert "with these settings: check [sink.emoncms] in site.toml (token, url, node, " in log
        assert table_rows(tmp_path / JOURNAL_FILE, "dead_letter", "count(*)") == [(0,)]
        server.requests.clear()
        code, log = run(tmp_path, table.format("7"))
        assert (code, len(sent(server))) == (0, len(readings) - 2), log
