# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon sent to hosted services with recorded options, and what a site sends that was migrated from these options.

The same packets, at the same times, through the whole program. Each difference is a number of QUIRKS.md.
"""

import math
from pathlib import Path

import pytest
from helpers.btmon_requests import Scenario, scenario
from helpers.golden_streams import btmon_values
from helpers.migrated import change_table, migrate, read_recording, write_options
from helpers.sent_values import PARSERS, sent_values
from servers.recorder import Recorder, Request

from btcore.cli import OK, main

pytestmark = pytest.mark.servers

PLUGINS = {"oem": "emoncms", "pachube": "xively"}
TAKEN = {"oem": "ok", "thingspeak": "17", "wattvision": '{"success": true}', "peoplepower": '<s2h status="ACK"/>'}
"""What a service answers when all is well, where that is not what btmon was answered."""

QUIRKS = {
    "bidgely": {"A1", "A2", "E11"},
    "enersave": {"A2", "E11"},
    "oem": {"A1", "B1"},
    "pachube": {"A1", "B1"},
    "peoplepower": {"A2", "E11"},
    "plotwatt": {"A1"},
    "smartenergygroups": {"A1"},
    "thingspeak": {"A1"},
    "wattvision": {"A2", "E11"},
}
"""By which quirks what is sent differs; E11 and A2 are what docs/services.md has of directions."""


def send(service: str, recorded: Scenario, folder: Path) -> list[Request]:
    """Migrate the options of a recording, and run the site on the recorded packets; return what it sent."""
    answer = next(one.reply for one in recorded.requests)
    with Recorder(answer) as server:
        options = {name: value.replace("http://{server}", server.url) for name, value in recorded.options.items()}
        write_options(options, folder / "btmon.cfg")
        site = migrate(folder / "btmon.cfg")
        read_recording(site, recorded.stream)
        more = {"url": f'"{server.url}"'} if service == "plotwatt" else {}  # btmon had no option for its address
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
    if f"{ours:.2f}" in directions:
        return "A2" if math.isclose(ours, -btmon, abs_tol=0.0051) else "E11"
    return "A1" if abs(ours) < abs(btmon) else "another value"


def one_direction(stream: str) -> set[str]:
    """Return what flowed in one direction, in each interval and in all, as btmon calculated it."""
    added = [one["added"] for one in btmon_values(f"{stream}.default")["calculated"]]
    kinds = ("_pw", "_nw", "_pwh", "_nwh")
    return {f"{value:.2f}" for values in added for label, value in values.items() if label.endswith(kinds)}


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
