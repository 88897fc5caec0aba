# SPDX-License-Identifier: GPL-3.0-or-later
"""Wattvision: power and energy of one channel, one reading a request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.btmon_requests import scenario, scenario_names
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.expected_flows import expected_flows
from helpers.journal_entries import ECM1240_START, ecm1240_entries, entries_of
from helpers.plugin_calls import preview_batches, process_batches

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import Clock, HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
KEY = "APIKEY"


def table(url: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the table of a sink with btmon's options."""
    names = {"api_id": "wv_api_id", "api_key": "wv_api_key", "sensor_id": "wv_sensor_id", "channel": "wv_channel"}
    lines = "".join(f'{ours} = "{options[name]}"\n' for ours, name in names.items())
    return f'[sink.wattvision]\nurl = "{url}/api/v0.2/elec"\n{lines}{more}'


def as_documented(request: Request) -> dict[str, Any]:
    """Return a reading of btmon's with a time as Wattvision documents it: without Z."""
    reading: dict[str, Any] = request.json
    return {**reading, "time": reading["time"].rstrip("Z")}


@pytest.mark.parametrize("name", [TYPICAL, "gem48ptbin_steady.typical"])
def test_wattvision_gets_btmon_s_readings_and_energy_as_documented(
    server: HostedService, tmp_path: Path, name: str
) -> None:
    """The same requests, and in each the cumulative watt-hours that the service asks for; times have no Z.

    QUIRKS A2: btmon's watts of a load are negative; here watts and watt-hours are what was used.
    """
    golden = scenario("wattvision", name)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    used = expected_flows(golden.readings, golden.options["wv_channel"].split("_")[1])
    assert [r.json for r in server.requests] == [
        {**as_documented(request), "watts": pytest.approx(one.watts), "watthours": pytest.approx(one.energy)}
        for request, one in zip(golden.requests, used, strict=True)
    ]
    assert {(r.method, r.path) for r in server.requests} == {(r.method, r.path) for r in golden.requests}
    # QUIRKS E8: btmon declared its JSON a form
    assert {r.headers["content-type"] for r in server.requests} == {"application/json"}


@pytest.mark.parametrize("polarity", ["btmon", "brultech"])
@pytest.mark.parametrize("direction", ["import", "export"])
def test_watts_and_watt_hours_are_of_one_direction(
    server: HostedService, tmp_path: Path, polarity: str, direction: str
) -> None:
    """QUIRKS A1, seen on the second channel of the ECM, which ran both ways; `direction` says which one counts."""
    golden = scenario("wattvision", TYPICAL)
    options = {**golden.options, "wv_channel": "312345_ch2"}
    more = f'interval = 0\npolarity = "{polarity}"\ndirection = "{direction}"\n'
    deliver_entries(sink_from_toml(tmp_path, table(server.url, options, more)), entries_of(golden.readings), tmp_path)
    found = [(request.json["watts"], request.json["watthours"]) for request in server.requests]
    expected = expected_flows(golden.readings, "ch2", exported=direction == "export")
    assert found == [(pytest.approx(one.watts), pytest.approx(one.energy)) for one in expected]


def test_a_channel_of_no_certain_meter_is_refused(tmp_path: Path) -> None:
    """Golden `bad_channel`: two meters would take turns in one sensor."""
    golden = scenario("wattvision", "ecm1240bin_steady.bad_channel")
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, table("http://127.0.0.1", golden.options))
    assert [(p.key, p.message) for p in error.value.problems] == [
        ("channel", "say of which meter: expected SERIAL_ch1")
    ]


def test_a_channel_that_the_meter_has_not_is_told_once(
    server: HostedService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Golden `unknown_channel`: btmon raised KeyError in every pass."""
    golden = scenario("wattvision", "ecm1240bin_steady.unknown_channel")
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path
    )
    told = [text for text in caplog.messages if "ch9" in text]
    assert (server.requests, worker.stop_reason, told) == (
        [],
        "",
        ["channel: meter 312345 has no ch9, so nothing of it is sent; it has ch1, ch2, aux1 to aux5"],
    )


def test_after_a_restart_of_the_meter_energy_goes_without_power(server: HostedService, tmp_path: Path) -> None:
    """Power over that interval is not known, the counter is."""
    before, since = (
        ecm1240_entries(3600, interval=1800),
        list(ecm1240_entries(30, interval=30, start=ECM1240_START + 3660))[1:],
    )
    options = scenario("wattvision", TYPICAL).options
    sink = sink_from_toml(tmp_path, table(server.url, options, "interval = 0\n"))
    deliver_entries(sink, [*before, *since], tmp_path)
    assert ["watts" in request.json for request in server.requests] == [True, True, False]
    assert all("watthours" in request.json for request in server.requests)


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(400, "bad request"), Reject), (Reply(401), Stop), (Reply(500), Retry), (Reply(429), Retry)],
)
def test_its_answers_are_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """200 is success, whatever the body; 400 is a reading that it does not take."""
    golden = scenario("wattvision", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    server.answer = reply
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_a_week_s_outage_is_made_up_for_at_the_service_s_pace(server: HostedService, tmp_path: Path) -> None:
    """One reading a request, 15 s apart, each once, in order; a failure in between sends nothing twice."""
    golden = scenario("wattvision", TYPICAL)
    server.fail(Reply(500), Reply(200), Reply(wire="reset"), Reply(200), Reply(503, "", {"Retry-After": "600"}))
    clock = Clock()
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    worker = deliver_entries(sink, ecm1240_entries(7 * 86_400, interval=600), tmp_path, clock)
    times = [request.json["time"] for request in server.taken]
    energies = [request.json["watthours"] for request in server.taken]
    assert (worker.stop_reason, len(times), times) == ("", 1008, sorted(set(times)))
    assert energies == sorted(energies)
    assert clock.now >= 15 * 1007 + 600


def test_a_dry_run_shows_the_readings_and_no_key(server: HostedService, tmp_path: Path) -> None:
    """One line for each reading."""
    golden = scenario("wattvision", TYPICAL)
    lines = preview_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert lines[0] == (
        f'POST {server.url}/api/v0.2/elec {{"sensor_id": "4321", "api_id": "APIID", "api_key": "***",'
        ' "time": "2023-11-14T22:13:30", "watts": 1536.4, "watthours": 421894.10277777776}'
    )
    assert (len(lines), [line for line in lines if KEY in line]) == (7, [])


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("wattvision") if not name.endswith(elsewhere)} == {
        TYPICAL,
        "ecm1240bin_steady.bad_channel",
        "ecm1240bin_steady.unknown_channel",
        "gem48ptbin_steady.typical",
    }
