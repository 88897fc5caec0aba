# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon sent to hosted services with recorded options, and what a site sends that was migrated from these options.

The same packets, at the same times, through the whole program. Each difference is a number of QUIRKS.md.
"""

import math
import re
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from helpers.btmon_requests import Scenario, scenario
from helpers.expected_flows import Flow, expected_flows
from helpers.golden_streams import btmon_values
from helpers.migrated import change_table, migrate, read_recording, switch_on, write_options
from helpers.sent_values import PARSERS, sent_values
from servers.pvoutput import PVOutputServer

from btcore import Reading
from btcore.cli import OK, main
from btcore.testing import HostedService, Request

pytestmark = pytest.mark.servers

PLUGINS = {"oem": "emoncms", "pachube": "xively"}
TAKEN = {"oem": "ok", "thingspeak": "17", "wattvision": '{"success": true}', "peoplepower": '<s2h status="ACK"/>'}
"""What a service answers when all is well, where that is not what btmon was answered."""

WITHOUT_ADDRESS = {"plotwatt": "", "wattzon": "/api/2009-01-27/3"}
ENDED = {"wattzon"}
"""Services that have ended, whose tables are written switched off: they need an address."""

QUIRKS = {
    "bidgely": {"A1", "A2", "E11"},
    "enersave": {"A2", "E11"},
    "eragy": {"A2", "E11"},
    "oem": {"A1", "B1"},
    "pachube": {"A1", "B1"},
    "peoplepower": {"A2", "E11"},
    "plotwatt": {"A1"},
    "smartenergygroups": {"A1"},
    "thingspeak": {"A1"},
    "wattvision": {"A2", "E11"},
    "wattzon": {"A1", "E1"},
}
"""By which quirks what is sent differs; E11 and A2 are what docs/services.md has of directions."""


def send(service: str, recorded: Scenario, folder: Path) -> list[Request]:
    """Migrate the options of a recording, and run the site on the recorded packets; return what it sent."""
    replies = [one.reply for one in recorded.requests]
    asks_again = service == "wattzon"  # a request without a password is answered by a question for it
    with HostedService(lambda request: replies[asks_again and "authorization" in request.headers]) as server:
        options = {name: value.replace("http://{server}", server.url) for name, value in recorded.options.items()}
        write_options(options, folder / "btmon.cfg")
        site = migrate(folder / "btmon.cfg")
        if service in ENDED:
            switch_on(site, f"sink.{service}")
        read_recording(site, recorded.stream)
        address = WITHOUT_ADDRESS.get(service)  # btmon had no option for it
        more = {} if address is None else {"url": f'"{server.url}{address}"'}
        reading_by_reading = {"interval": "0", "min_call_interval": "0"}  # where an average is sent, for a comparison
        change_table(site, f"sink.{PLUGINS.get(service, service)}", **reading_by_reading, **more)
        assert main(["run", "--once", "--quiet", "--config", str(site)]) == OK
        return server.requests


def quirk(ours: float | None, btmon: float, directions: set[str]) -> str:
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
    if ours is None:
        return "B1" if btmon == 0 else "no value"
    if math.isclose(ours, btmon, abs_tol=0.0051):
        return ""
    if btmon == int(btmon) and ours == int(ours) and abs(ours - btmon) == 1:
        return "E1"  # cut to an integer, and rounded to one
    if f"{ours:.2f}" in directions:
        return "A2" if math.isclose(ours, -btmon, abs_tol=0.0051) else "E11"
    return "A1" if abs(ours) < abs(btmon) else "another value"


def one_direction(stream: str) -> set[str]:
    """Return what flowed in one direction, in each interval and in all, as btmon calculated it."""
    added = [one["added"] for one in btmon_values(f"{stream}.default")["calculated"]]
    kinds = re.compile(r"\w+_[pn]wh?|aux\d_wh")
    return {f"{value:.2f}" for values in added for label, value in values.items() if kinds.fullmatch(label)}


@pytest.mark.parametrize("stream", ["ecm1240bin_steady", "gem48ptbin_steady"])
@pytest.mark.parametrize("service", sorted(PARSERS))
def test_a_migrated_site_sends_what_btmon_sent(service: str, stream: str, tmp_path: Path) -> None:
    """Every value that btmon sent is sent, with its time and under its name; what differs, differs by a quirk."""
    recorded = scenario(service, f"{stream}.typical")
    ours = sent_values(service, send(service, recorded, tmp_path))
    btmon = sent_values(service, recorded.requests)
    known = QUIRKS[service]
    directions = one_direction(stream) if "A2" in known else set[str]()
    found = {name: quirk(ours.get(name), value, directions) for name, value in btmon.items()}
    assert btmon
    assert {name: one for name, one in found.items() if one not in known | {""}} == {}


def test_pvoutput_gets_the_interval_of_which_btmon_sent_the_last_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E9, E14: system, key, channels and local time are btmon's; the numbers are of the interval, one way each."""
    recorded = scenario("pvo", "ecm1240bin_steady.typical")
    monkeypatch.setenv("TZ", recorded.data["tz"])
    time.tzset()
    with PVOutputServer(zone=ZoneInfo(recorded.data["tz"]), days=100_000) as server:
        options = {**recorded.options, "pvo_url": f"{server.url}/service/r2/addstatus.jsp"}
        write_options({**options, "pvo_api_key": server.key, "pvo_system_id": server.system}, tmp_path / "btmon.cfg")
        site = migrate(tmp_path / "btmon.cfg")
        read_recording(site, recorded.stream)
        assert main(["run", "--once", "--quiet", "--config", str(site)]) == OK
    generated = expected_flows(recorded.readings, "ch2", exported=True)
    consumed = expected_flows(recorded.readings, "ch1")
    assert server.slots == {
        ("20231114", "17:15"): {  # btmon's last one was of 17:14
            "v1": f"{generated[-1].energy:.0f}",
            "v2": f"{mean(generated, recorded.readings):.0f}",
            "v3": f"{consumed[-1].energy:.0f}",
            "v4": f"{mean(consumed, recorded.readings):.0f}",
            "v6": recorded.requests[-1].form["v6"],
            "c1": recorded.requests[-1].form["c1"],
        }
    }
    assert {(one["d"], one["t"]) for one in (request.form for request in recorded.requests)} == {("20231114", "17:14")}


def mean(flows: Sequence[Flow], readings: Sequence[Reading]) -> float:
    """Return the mean W of intervals by the meter's own seconds."""
    seconds = [newer.seconds - older.seconds for older, newer in pairwise(readings)]
    return sum(flow.watts * each for flow, each in zip(flows, seconds, strict=True)) / sum(seconds)


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """Give each test the zone of the environment that it begins with."""
    yield
    time.tzset()
