# SPDX-License-Identifier: GPL-3.0-or-later
"""Eragy: what is sent has the form of what btmon sent, with the energy that the format is made for."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.btmon_requests import scenario, scenario_names
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.expected_flows import expected_flows
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import process_batches

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

SENT = tuple(f"{stream}_steady.typical" for stream in ("ecm1220bin", "ecm1240bin", "gem48ptbin"))
TAKEN = Reply(200, "<xml>0</xml>")


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["eg_url"].replace("http://{server}", url)
    return (
        f'[sink.eragy]\nurl = "{address}"\ntoken = "{options["eg_token"]}"\ngateway_id = "{options["eg_gateway_id"]}"\n'
    )


def values(request: Request) -> dict[tuple[str, int], float]:
    """Return each number by the id of its MTU and its time."""
    return {
        (unit.get("ID", ""), int(one.get("timestamp", ""))): float(one.get("watts", ""))
        for unit in request.xml.iter("MTU")
        for one in unit.iter("cumulative")
    }


def of(server: HostedService, unit: str) -> list[tuple[int, float]]:
    """Return times and Wh of an MTU, of all requests."""
    found = [one for request in server.requests for one in values(request).items()]
    return [(time, energy) for (name, time), energy in found if name == unit]


@pytest.mark.parametrize("name", SENT)
def test_eragy_gets_the_channels_and_times_that_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, content type, gateway, token, ids and times are the same, request for request."""
    server.answer = TAKEN
    golden = scenario("eragy", name)
    process_batches(
        sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches(numbers_of_btmon=True)
    )
    ours, btmon = (
        [(r.method, r.path, r.headers["content-type"], r.xml.tag, r.xml.attrib, sorted(values(r))) for r in requests]
        for requests in (server.requests, golden.requests)
    )
    assert ours == btmon


@pytest.mark.parametrize("name", SENT)
def test_watts_are_cumulative_watt_hours(server: HostedService, tmp_path: Path, name: str) -> None:
    """QUIRKS E11: btmon sent power in an element called cumulative; the format means a counter in Wh: what was used."""
    server.answer = TAKEN
    golden = scenario("eragy", name)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    for channel in ("ch1", "ch2"):
        expected = [(one.time, round(one.energy, 4)) for one in expected_flows(golden.readings, channel)]
        assert of(server, f"XXX{golden.readings[0].serial[-3:]}_{channel}") == expected == sorted(expected)


@pytest.mark.parametrize("polarity", ["btmon", "brultech"])
@pytest.mark.parametrize("named", ["312345_ch2", "ch2"])
def test_what_generates_is_an_mtu_of_its_own_type(
    server: HostedService, tmp_path: Path, polarity: str, named: str
) -> None:
    """A channel in `generation` has what was exported, and type 1; all others what was used, and type 0."""
    server.answer = TAKEN
    golden = scenario("eragy", SENT[1])
    more = f'polarity = "{polarity}"\ngeneration = ["{named}"]\n'
    deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options) + more), entries_of(golden.readings), tmp_path
    )
    types = {unit.get("ID"): unit.get("type") for unit in server.requests[0].xml.iter("MTU")}
    assert (types.pop("XXX345_ch2"), set(types.values())) == ("1", {"0"})
    for channel, exported in (("ch2", True), ("ch1", False), ("aux1", False)):
        counters = [
            (one.time, round(one.energy, 4)) for one in expected_flows(golden.readings, channel, exported=exported)
        ]
        assert of(server, f"XXX345_{channel}") == counters


def test_what_generates_must_measure_energy(tmp_path: Path) -> None:
    """A temperature generates nothing."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, '[sink.eragy]\ngateway_id = "1"\ntoken = "TOKEN1234"\ngeneration = ["t1"]\n')
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("generation", "t1 does not measure power: expected a channel such as 399999_ch1")
    ]


def test_a_channel_is_one_mtu_with_all_its_times(server: HostedService, tmp_path: Path) -> None:
    """Deviation: btmon wrote an MTU for each number; the format has one with a type, and its times in order."""
    server.answer = TAKEN
    golden = scenario("eragy", SENT[1])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    units = list(server.requests[0].xml.iter("MTU"))
    assert [unit.get("ID") for unit in units] == [
        f"XXX345_{name}" for name in ("ch1", "ch2", *map("aux{}".format, range(1, 6)))
    ]
    assert {unit.get("type") for unit in units} == {"0"}
    assert [int(one.get("timestamp", "")) for one in units[0]] == [1_700_000_010 + 10 * index for index in range(4)]


def test_what_is_missing_is_named_all_at_once(tmp_path: Path) -> None:
    """Golden `missing_options`: as btmon did, gateway and token are both named."""
    assert "No gateway ID" in scenario("eragy", "ecm1240bin_steady.missing_options").refusal
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.eragy]\n")
    assert [problem.key for problem in error.value.problems] == ["gateway_id", "token"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, "<xml>1</xml>"), Retry),
        (Reply(200, "<html>maintenance</html>"), Retry),
        (Reply(500), Retry),
        (Reply(301, headers={"Location": "https://example.com/"}), Retry),
        (Reply(400), Reject),
        (Reply(401), Stop),
        (Reply(404), Stop),
    ],
)
def test_an_answer_that_is_no_success_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """Words other than `<xml>0</xml>` are no success."""
    server.answer = reply
    golden = scenario("eragy", SENT[0])
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


@pytest.mark.parametrize("reply", [TAKEN, Reply(200, "<xml> 0 </xml>\n"), Reply(200, ""), Reply(204)])
def test_success_is_understood(server: HostedService, tmp_path: Path, reply: Reply) -> None:
    """Neither blanks nor an answer without a body, as other receivers of these posts give, make a failure of it."""
    server.answer = reply
    golden = scenario("eragy", SENT[0])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert len(server.requests) == len(golden.requests)


def test_a_week_s_readings_go_in_requests_of_a_hundred(server: HostedService, tmp_path: Path) -> None:
    """After an outage a request never has more than a hundred readings, and every reading comes once, in order."""
    server.answer = TAKEN
    golden = scenario("eragy", SENT[1])
    deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), ecm1240_entries(7 * 86_400, interval=60), tmp_path
    )
    sent = [[time for unit, time in values(request) if unit == "XXX345_ch1"] for request in server.requests]
    times = [time for some in sent for time in some]
    assert (len(times), times, max(map(len, sent))) == (10_080, sorted(set(times)), 100)


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("eragy") if not name.endswith(elsewhere)} == set(SENT)
