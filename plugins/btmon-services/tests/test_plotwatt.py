# SPDX-License-Identifier: GPL-3.0-or-later
"""PlotWatt: what is sent is what btmon sent, and its answers are understood."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import process_batches

from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

KEY = "ABCDEF0123456789"
TYPICAL = "ecm1240bin_steady.typical"


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    return f'[sink.plotwatt]\nurl = "{url}"\napi_key = "{options["pw_api_key"]}"\nmap = {toml_map(options["pw_map"])}\n'


def seen(request: Request) -> tuple[str, str, str, str]:
    """Return what of a request the service sees."""
    return request.method, request.path, request.headers["authorization"], request.text


@pytest.mark.parametrize("name", [TYPICAL, "gem48ptbin_steady.typical"])
def test_plotwatt_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, credentials and every number are the same, request for request."""
    golden = scenario("plotwatt", name)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    process_batches(sink.instance, golden.batches(numbers_of_btmon=True))
    assert [seen(request) for request in server.requests] == [seen(request) for request in golden.requests]


def test_watts_are_net_where_btmon_added_both_directions(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W; nothing else differs."""
    golden = scenario("plotwatt", TYPICAL)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    process_batches(sink.instance, golden.batches())
    ours, btmon = (
        [text for request in requests for text in request.text.split(",")]
        for requests in (server.requests, golden.requests)
    )
    differing = [(one, other) for one, other in zip(ours, btmon, strict=True) if one != other]
    assert differing == [("0.97022", "1.70600"), ("-1.74655", "1.91109"), ("0.00000", "1.40020")]


def test_the_body_is_declared_as_what_it_is(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E8: btmon called it XML."""
    golden = scenario("plotwatt", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert {request.headers["content-type"] for request in server.requests} == {"text/csv"}


def test_a_map_is_needed(tmp_path: Path) -> None:
    """Golden `nomap`: btmon refused to start; the house's number, which it never sent, is not asked for."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, f'[sink.plotwatt]\napi_key = "{KEY}"\n')
    assert [problem.key for problem in error.value.problems] == ["map"]


@pytest.mark.parametrize(
    ("reply", "stop_reason"),
    [
        (Reply(422, '{"errors":["no such meter"]}'), "check the numbers of PlotWatt's meters"),
        (Reply(401, "no"), "check `api_key`"),
        (Reply(400, "Unknown meter 1002"), "check `api_key` and the numbers in `map`"),
        (Reply(404, "no"), "check `url`"),
    ],
)
def test_what_only_a_person_can_mend_parks_the_sink(
    server: HostedService, tmp_path: Path, reply: Reply, stop_reason: str
) -> None:
    """A meter that PlotWatt does not know, a wrong key or address: the sink stops, says why, and keeps its readings."""
    server.answer = reply
    golden = scenario("plotwatt", TYPICAL)
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path
    )
    assert (worker.delivered, worker.dead_letters, stop_reason in worker.stop_reason) == (0, 0, True)


def test_a_week_s_readings_go_in_requests_of_a_hundred(server: HostedService, tmp_path: Path) -> None:
    """A request never has more than a hundred readings, and every reading comes once, in order."""
    golden = scenario("plotwatt", TYPICAL)
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), ecm1240_entries(7 * 86_400, interval=60), tmp_path
    )
    times = [[int(text) for text in request.text.split(",")[2::9]] for request in server.requests]
    flat = [time for some in times for time in some]
    assert (worker.stop_reason, len(flat), flat) == ("", 10_080, sorted(set(flat)))
    assert max(map(len, times)) <= 100


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("plotwatt") if not name.endswith(elsewhere)} == {
        TYPICAL,
        "ecm1240bin_steady.nomap",
        "gem48ptbin_steady.nomap",
        "gem48ptbin_steady.typical",
    }
