# SPDX-License-Identifier: GPL-3.0-or-later
"""Two meters that send one serial number: each service is sent what two with numbers of their own would be."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from helpers.configured_sink import deliver_entries, sink_from_toml, without_waits
from helpers.hosted_services import SERVICES
from helpers.journal_entries import ecm1240_entries

from btcore.journal import Entry
from btcore.testing import HostedService

pytestmark = pytest.mark.servers

TWINS = ("031909", "031909-2")
OWN = ("312111", "312222")
MAPS = {
    "bidgely": 'map = {{ "{0}_ch1" = {{}}, "{1}_ch1" = {{}} }}',
    "enersave": 'map = {{ "{0}_ch1" = {{}}, "{1}_ch1" = {{}} }}',
    "peoplepower": 'map = {{ "{0}_ch1" = "d", "{1}_ch1" = "e" }}',
    "plotwatt": 'map = {{ "{0}_ch1" = "1000", "{1}_ch1" = "2000" }}',
    "smartenergygroups": 'map = {{ "{0}_ch1" = "", "{1}_ch1" = "" }}',
    "thingspeak": 'tokens = {{ "{0}" = "s3cr3tKEY0", "{1}" = "s3cr3tKEY1" }}',
    "wattvision": 'channel = "{1}_ch1"',
    "wattzon": 'map = {{ "{0}_ch1" = "a", "{1}_ch1" = "b" }}',
}


def sent(name: str, serials: tuple[str, str], server: HostedService, folder: Path) -> list[str]:
    """Deliver half an hour of two meters; return the requests, with the serial numbers replaced by letters."""
    server.answer = SERVICES[name].taken
    lines = SERVICES[name].table.replace("URL", server.url).splitlines()
    table = [line for line in lines if not line.startswith(("map ", "tokens ", "channel "))]
    folder.mkdir()
    sink = sink_from_toml(folder, "\n".join([f"[sink.{name}]", *table, MAPS.get(name, "").format(*serials), ""]))
    worker = deliver_entries(without_waits(sink), sorted(entries(serials), key=lambda entry: entry.key), folder)
    assert (worker.stop_reason, worker.dead_letters) == ("", 0)
    found = [f"{request.path} {request.query} {request.text}" for request in server.requests]
    server.requests.clear()
    return [re.sub(r"sentat=\d+|seq=.\d+.", "", lettered(text, serials)) for text in found]


def entries(serials: tuple[str, str]) -> Iterator[Entry]:
    """Yield the packets of two meters; what they are called is what the core found out."""
    for index, serial in enumerate(serials):
        for entry in ecm1240_entries(
            1800, serial=serial.partition("-")[0], start=1_700_000_000 + 5 * index, up=70_000 * index
        ):
            yield attrs.evolve(entry, serial=serial)


def lettered(text: str, serials: tuple[str, str]) -> str:
    """Write A and B for two meters, by their long and short names."""
    for letter, serial in reversed(list(zip("AB", serials, strict=True))):
        number, dash, index = serial.partition("-")
        text = text.replace(serial, letter).replace(f"XXX{number[-3:]}{dash}{index}", letter)
    return text


@pytest.mark.parametrize("name", SERVICES)
def test_twins_are_two_meters_to_every_service(server: HostedService, tmp_path: Path, name: str) -> None:
    """What is sent of 031909 and 031909-2 is what is sent of two meters that have numbers of their own."""
    twins = sent(name, TWINS, server, tmp_path / "twins")
    assert twins == sent(name, OWN, server, tmp_path / "own")
    assert len(twins) > 1
