# SPDX-License-Identifier: GPL-3.0-or-later
"""Bidgely: what is sent is what btmon sent, with watts and a counter of one direction; the address stays a secret."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_described_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.expected_flows import expected_flows
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import process_batches
from helpers.xml_values import xml_values

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import Clock, HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = ("ecm1240bin_steady.typical", "gem48ptbin_steady.typical")
ENERGY, POWER = "CurrentSummationDelivered", "InstantaneousDemand"


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["by_url"].replace("http://{server}", url)
    return f'[sink.bidgely]\nurl = "{address}"\nmap = {toml_described_map(options["by_map"])}\n'


def without_numbers(request: Request) -> Element:
    """Return what was sent without its numbers, which differ on purpose."""
    root = request.xml
    for datum in root.iter("data"):
        datum.set("value", "")
    return root


def numbers(request: Request, channel: str, stream: str = ENERGY) -> Iterator[tuple[int, float]]:
    """Yield time and Wh, or W, of a channel."""
    for datum in request.xml.iterfind(f".//meter[@id='{channel}']//stream[@id='{stream}']/data"):
        yield int(datum.get("time", "")), float(datum.get("value", ""))


def sent(server: HostedService, channel: str) -> list[tuple[int, float, float]]:
    """Return time, W and Wh of a channel, of all requests."""
    energies, watts = (
        [one for request in server.requests for one in numbers(request, channel, stream)] for stream in (ENERGY, POWER)
    )
    assert [time for time, _ in energies] == [time for time, _ in watts]
    return [(time, power, energy) for (time, energy), (_, power) in zip(energies, watts, strict=True)]


@pytest.mark.parametrize("name", TYPICAL)
def test_bidgely_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, content type, meters, descriptions and times are the same, request for request."""
    golden = scenario("bidgely", name)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    ours, btmon = (
        [
            (r.method, r.path, r.headers["content-type"], xml_values(without_numbers(r), unordered=["meters"]))
            for r in requests
        ]
        for requests in (server.requests, golden.requests)
    )
    assert ours == btmon


@pytest.mark.parametrize("name", TYPICAL)
def test_watts_and_watt_hours_of_a_meter_are_of_one_direction(server: HostedService, tmp_path: Path, name: str) -> None:
    """QUIRKS E11, A1: btmon sent net energy, which falls for a load, and watts both ways added, with a sign.

    btmon's map is taken over as it is: of type 0 and 10 what was used counts, of type 1 what was generated.
    """
    golden = scenario("bidgely", name)
    short = f"XXX{golden.readings[0].serial[-3:]}"
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    for channel, exported in (("ch1", False), ("ch2", True)):
        found = sent(server, f"{short}_{channel}")
        assert found == [
            pytest.approx(one, abs=1e-6) for one in expected_flows(golden.readings, channel, exported=exported)
        ]
        assert [energy for _, _, energy in found] == sorted(energy for _, _, energy in found)
        assert min(watts for _, watts, _ in found) >= 0
    btmon = [energy for request in golden.requests for _, energy in numbers(request, f"{short}_ch1")]
    assert btmon != sorted(btmon)


@pytest.mark.parametrize("polarity", ["btmon", "brultech"])
@pytest.mark.parametrize(
    ("target", "exported"),
    [
        ("type = 1", True),
        ("type = 11", True),
        ("type = 10", False),
        ("type = 0", False),
        ("type = 2", False),
        ('type = 1, direction = "import"', False),
        ('type = 10, direction = "export"', True),
    ],
)
def test_what_generates_is_counted_the_other_way(
    server: HostedService, tmp_path: Path, polarity: str, target: str, exported: bool
) -> None:
    """By its type, or as `direction` says; the same whatever sign the site has."""
    golden = scenario("bidgely", TYPICAL[0])
    text = f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ ch2 = {{ {target} }} }}\n'
    deliver_entries(sink_from_toml(tmp_path, f'{text}polarity = "{polarity}"\n'), entries_of(golden.readings), tmp_path)
    expected = [pytest.approx(one, abs=1e-6) for one in expected_flows(golden.readings, "ch2", exported=exported)]
    assert sent(server, "XXX345_ch2") == expected


def test_a_description_may_hold_anything(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E7: btmon sent quotes and ampersands as they are, which is no XML; without any, the id is shown."""
    target = 'Mum & "Dad" <\u0001é>'
    meters = f"map = {{ ch1 = {{ description = {json.dumps(target)} }}, ch2 = {{}} }}"
    text = f'[sink.bidgely]\nurl = "{server.url}/up"\n{meters}\n'
    process_batches(sink_from_toml(tmp_path, text).instance, scenario("bidgely", TYPICAL[0]).batches())
    meters_sent = server.requests[0].xml.iter("meter")
    assert [(meter.get("id"), meter.get("description"), meter.get("type")) for meter in meters_sent] == [
        ("XXX345_ch1", 'Mum & "Dad" <é>', "10"),
        ("XXX345_ch2", "XXX345_ch2", "10"),
    ]


def test_nothing_is_sent_of_channels_that_no_meter_has(server: HostedService, tmp_path: Path) -> None:
    """A channel that the meter has not is left out, and a request that would be empty is not made."""
    process_batches(
        sink_from_toml(
            tmp_path, f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ "312345_ch9" = {{}} }}\n'
        ).instance,
        scenario("bidgely", TYPICAL[0]).batches(),
    )
    assert server.requests == []


def test_address_and_map_are_needed(tmp_path: Path) -> None:
    """Golden `nomap` and `missing_options`: both are named at once (QUIRKS H8: btmon broke without the address)."""
    assert "No Map" in scenario("bidgely", "ecm1240bin_steady.missing_options").refusal
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.bidgely]\n")
    assert [problem.key for problem in error.value.problems] == ["url", "map"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, "<error>bad meter</error>"), Retry),
        (Reply(500), Retry),
        (Reply(429), Retry),
        (Reply(400, "no XML"), Reject),
        (Reply(401), Stop),
        (Reply(404), Stop),
    ],
)
def test_an_answer_that_is_no_success_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """QUIRKS E2: btmon took whatever came for success; an error in an answer of 200 is one."""
    server.answer = reply
    golden = scenario("bidgely", TYPICAL[0])
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_requests_are_a_minute_apart_also_after_an_outage(server: HostedService, tmp_path: Path) -> None:
    """A week's readings go in requests of 200 readings at most, one a minute, each reading once and in order."""
    clock, at = Clock(), list[float]()

    def answer(_request: Request) -> Reply:
        at.append(clock())
        return Reply()

    server.answer = answer
    sink = sink_from_toml(tmp_path, f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ ch1 = {{}} }}\n')
    deliver_entries(sink, ecm1240_entries(7 * 86_400, interval=60), tmp_path, clock)
    each = [[time for time, _ in numbers(request, "XXX345_ch1")] for request in server.requests]
    times = [time for some in each for time in some]
    assert (len(times), times) == (10_080, sorted(set(times)))
    assert max(map(len, each)) <= 200
    assert min(later - earlier for earlier, later in pairwise(at)) >= 60


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options", "nomap")
    assert {name for name in scenario_names("bidgely") if not name.endswith(elsewhere)} == set(TYPICAL)
