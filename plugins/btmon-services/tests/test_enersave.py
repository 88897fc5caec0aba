# SPDX-License-Identifier: GPL-3.0-or-later
"""MyEnerSave: what is sent is what btmon sent, with a counter that never falls."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_described_map
from helpers.configured_sink import sink_from_toml
from helpers.expected_flows import expected_flows
from helpers.plugin_calls import process_batches
from helpers.xml_values import xml_values

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

SENT = tuple(
    f"{stream}.{kind}" for stream in ("ecm1240bin_steady", "gem48ptbin_steady") for kind in ("typical", "nomap")
)


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["es_url"].replace("http://{server}", url)
    sensors = f"map = {toml_described_map(options['es_map'])}\n" if "es_map" in options else ""
    return f'[sink.enersave]\nurl = "{address}"\ntoken = "{options["es_token"]}"\n{sensors}'


def without_energy(request: Request) -> Element:
    """Return what was sent without its numbers, which differ on purpose."""
    root = request.xml
    for datum in root.iter("energy"):
        datum.set("wh", "")
    return root


def energies(requests: list[Request], sensor: str) -> list[float]:
    """Return the Wh of a sensor."""
    path = f".//sensor[@id='{sensor}']/energy"
    return [float(datum.get("wh", "")) for request in requests for datum in request.xml.iterfind(path)]


@pytest.mark.parametrize("name", SENT)
def test_enersave_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, token, sensors, types, descriptions and times are the same, request for request."""
    golden = scenario("enersave", name)
    process_batches(
        sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches(numbers_of_btmon=True)
    )
    ours, btmon = (
        [
            (
                r.method,
                r.path,
                r.headers["content-type"],
                r.headers["token"],
                xml_values(without_energy(r), unordered=["upload"]),
            )
            for r in requests
        ]
        for requests in (server.requests, golden.requests)
    )
    assert ours == btmon


@pytest.mark.parametrize("name", SENT)
def test_energy_is_a_counter_that_never_falls(server: HostedService, tmp_path: Path, name: str) -> None:
    """QUIRKS E11: btmon sent the net energy, which falls for a load; here it is the counter of what was used."""
    golden = scenario("enersave", name)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    sensor = f"XXX{golden.readings[0].serial[-3:]}_ch1"
    ours, btmon = (energies(requests, sensor) for requests in (server.requests, golden.requests))
    counters = [((r.get("ch1_aws") or 0) - (r.get("ch1_pws") or 0)) / 3600 for r in golden.readings[1:]]
    assert ours == [round(energy, 6) for energy in counters] == sorted(ours)
    assert btmon != sorted(btmon)


def test_auxiliary_channels_have_one_counter(server: HostedService, tmp_path: Path) -> None:
    """The energy of a channel without a direction is what btmon sent."""
    golden = scenario("enersave", SENT[0])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert energies(server.requests, "XXX345_aux1") == energies(golden.requests, "XXX345_aux1")


@pytest.mark.parametrize(
    ("target", "exported"),
    [
        ("type = 1", True),
        ("type = 11", True),
        ("type = 2", False),
        ("", False),
        ('direction = "export"', True),
        ('type = 1, direction = "import"', False),
    ],
)
def test_what_generates_is_counted_the_other_way(
    server: HostedService, tmp_path: Path, target: str, exported: bool
) -> None:
    """Type 1 is what generates, also in a map that was taken over from btmon; `direction` says otherwise."""
    golden = scenario("enersave", SENT[0])
    text = f'[sink.enersave]\nurl = "{server.url}"\ntoken = "TOKEN1234"\nmap = {{ ch2 = {{ {target} }} }}\n'
    process_batches(sink_from_toml(tmp_path, text).instance, golden.batches())
    expected = [round(one.energy, 6) for one in expected_flows(golden.readings, "ch2", exported=exported)]
    assert energies(server.requests, "XXX345_ch2") == expected == sorted(expected)


def test_a_service_that_is_gone_needs_an_address(tmp_path: Path) -> None:
    """Without an address the configuration is refused, in one line that says why."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, '[sink.enersave]\ntoken = "TOKEN1234"\n')
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        (
            "url",
            "MyEnerSave became Bidgely in 2014: set `url` to the address of a service that speaks its protocol",
        )
    ]


def test_the_token_is_needed(tmp_path: Path) -> None:
    """Golden `missing_options`: as btmon did, what is missing is named."""
    assert "No token" in scenario("enersave", "ecm1240bin_steady.missing_options").refusal
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.enersave]\n")
    assert [problem.key for problem in error.value.problems] == ["token"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, "<error>bad token</error>"), Retry),
        (Reply(500), Retry),
        (Reply(400, "no XML"), Reject),
        (Reply(403), Stop),
        (Reply(404), Stop),
    ],
)
def test_an_answer_that_is_no_success_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """QUIRKS E2: btmon took whatever came for success; an error in an answer of 200 is one."""
    server.answer = reply
    golden = scenario("enersave", SENT[0])
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("enersave") if not name.endswith(elsewhere)} == set(SENT)
