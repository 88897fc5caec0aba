# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink with several accounts, through the whole program: what one key meets is no matter of the other meter's."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.solar_house import CONSUMPTION, GENERATION, HouseReading, house_capture_line, house_readings
from helpers.times import SECOND

from btcore.testing import BtcoreProcess, HostedService, Reply, Request, wait_for

pytestmark = pytest.mark.servers

STEPS = 12
KEYS = {GENERATION: "GOODKEY1234567", CONSUMPTION: "BADKEY12345678"}
OK = Reply(200, "17")
SITE = """
state = "state"

[source.file]
path = "capture.json"

[sink.things]
use = "thingspeak"
interval = 0
min_call_interval = 0
min_backoff = "100ms"
fields = { ch1 = 1 }
"""


def site(server: HostedService, keys: tuple[str, ...] = (GENERATION, CONSUMPTION)) -> str:
    """Return a configuration with a key for each meter."""
    tokens = ", ".join(f'"{serial}" = "{KEYS[serial]}"' for serial in keys)
    return f'{SITE}url = "{server.url}"\ntokens = {{ {tokens} }}\n'


@pytest.fixture
def readings(tmp_path: Path) -> list[HouseReading]:
    """Write a capture of both meters; return what is in it."""
    made = list(house_readings(int(time.time()) - 3600, 10, STEPS))
    (tmp_path / "capture.json").write_text("".join(map(house_capture_line, made)))
    return made


def expected(readings: list[HouseReading], serial: str) -> list[str]:
    """Return the times of a meter's entries: those of all its readings but the first."""
    times = [one.time for one in readings if one.serial == serial]
    return [f"{datetime.fromtimestamp(at / SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}" for at in times[1:]]


def entries(server: HostedService, serial: str) -> list[str]:
    """Return the times of the entries that were taken with a meter's key."""
    whole = [one for one in server.taken if len(one.body) == int(one.headers["content-length"])]  # not cut by a kill
    return [one.form["created_at"] for one in whole if is_of(one, serial)]


def is_of(request: Request, serial: str) -> bool:
    """Whether a request came with a meter's key."""
    return request.headers["thingspeakapikey"] == KEYS[serial]


def refusing(reply: Reply) -> Callable[[Request], Reply]:
    """Answer so to one of the keys."""
    return lambda request: reply if is_of(request, CONSUMPTION) else OK


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(401), "sink.things/{}: stopped until a restart: "),
        (Reply(429, headers={"Retry-After": "7200"}), "sink.things/{}: ThingSpeak answered 429"),
        (Reply(400), "sink.things/{}: stopped until a restart: "),
    ],
    ids=["wrong key", "wait", "refused"],
)
def test_what_one_key_is_answered_holds_up_no_other_meter(
    tmp_path: Path, readings: list[HouseReading], reply: Reply, told: str
) -> None:
    """All entries of the other meter arrive, once each, and the log names the part that is in trouble."""
    with HostedService(refusing(reply)) as server:
        with BtcoreProcess(tmp_path, site(server)) as btcore:
            wanted = expected(readings, GENERATION)
            wait_for(lambda: entries(server, GENERATION) == wanted, "the other meter's entries")
            wait_for(lambda: told.format(CONSUMPTION).split(": ")[1] in btcore.log, "the log to tell it")
            btcore.stop()
        assert [line for line in btcore.log.splitlines() if f"sink.things/{CONSUMPTION}" in line], btcore.log
        assert not [line for line in btcore.log.splitlines() if f"WARNING sink.things/{GENERATION}" in line]
        assert not any(key in btcore.log for key in KEYS.values())
        # what waits and what was stopped is kept, and delivered in time
        server.answer = OK
        with BtcoreProcess(tmp_path, site(server), "--once") as btcore:
            assert btcore.finish() == 0
        assert entries(server, CONSUMPTION) == expected(readings, CONSUMPTION)
        assert entries(server, GENERATION) == wanted


@pytest.mark.parametrize("at", [1, 4, 9, 14])
def test_a_kill_between_two_requests_costs_no_entry(tmp_path: Path, readings: list[HouseReading], at: int) -> None:
    """Killed after any request, and started again: every entry of both meters arrives, and few of them twice."""
    running: list[BtcoreProcess] = []

    def answer(_request: Request) -> Reply:
        if len(server.requests) == at:
            running[0].process.send_signal(signal.SIGKILL)
        return OK

    with HostedService(answer) as server:
        with BtcoreProcess(tmp_path, site(server)) as btcore:
            running.append(btcore)
            btcore.process.wait()
        with BtcoreProcess(tmp_path, site(server), "--once") as btcore:
            assert btcore.finish() == 0
        for serial in KEYS:
            sent = entries(server, serial)
            assert sorted(set(sent)) == expected(readings, serial)
            assert len(sent) <= len(expected(readings, serial)) + 2


def test_a_meter_more_changes_nothing_for_the_first(tmp_path: Path, readings: list[HouseReading]) -> None:
    """A key that is added later gets its own entries; what the first one had does not come again."""
    with HostedService(OK) as server:
        for keys in ((GENERATION,), (GENERATION, CONSUMPTION)):
            with BtcoreProcess(tmp_path, site(server, keys), "--once") as btcore:
                assert btcore.finish() == 0
        assert entries(server, GENERATION) == expected(readings, GENERATION)
        assert entries(server, CONSUMPTION) == expected(readings, CONSUMPTION)
