# SPDX-License-Identifier: GPL-3.0-or-later
"""Smart Energy Groups: an expression in brackets, as btmon sent it, to whatever speaks that protocol."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import preview_batches, process_batches

from btcore import Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
TOKEN = "site_0123"
OK = Reply(200, "(status ok)\n")


def table(url: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the table of a sink with btmon's options; what its map leaves out at the end is an empty name."""
    names = f"map = {toml_map(options['seg_map'])}\n" if "seg_map" in options else ""
    return (
        f'[sink.seg]\nuse = "smartenergygroups"\nurl = "{url}/api_sites/stream"\n'
        f'token = "{options["seg_token"]}"\n{names}{more}'
    )


def seen(request: Request) -> tuple[str, str, dict[str, str]]:
    """Return what of a request the service sees."""
    return request.method, request.path, request.form


@pytest.mark.parametrize(
    "name",
    [
        TYPICAL,
        "ecm1240bin_steady.nomap",
        "ecm1240bin_steady.uppercase_map",
        "gem48ptbin_steady.typical",
        "gem48ptbin_steady.nomap",
    ],
)
def test_it_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Site, nodes, times, names (in lower case: QUIRKS E6) and every number, request for request."""
    server.answer = OK
    golden = scenario("smartenergygroups", name)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    process_batches(sink.instance, golden.batches(numbers_of_btmon=True))
    assert [seen(request) for request in server.requests] == [seen(request) for request in golden.requests]


def test_a_sensor_that_is_not_there_is_left_out(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS B1: btmon sent 0 degrees for it. And A1: watts are net. Nothing else differs."""
    server.answer = OK
    golden = scenario("smartenergygroups", "gem48ptbin_steady.nomap")
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    btmon, ours = (
        Counter(
            stream for request in requests for stream in re.findall(r"\((\w+) ([-.\d]+)\)", request.form["data_post"])
        )
        for requests in (golden.requests, server.requests)
    )
    missing = Counter(name for name, _ in btmon.elements()) - Counter(name for name, _ in ours.elements())
    assert missing == {"temperature_t3": 7, "temperature_t4": 1}
    assert {name for name, _ in btmon - ours} == {"p_ch1", "p_ch4", "temperature_t3", "temperature_t4"}


def test_the_body_is_the_form_that_it_is_declared_to_be(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E8: btmon's had blanks and brackets as they are."""
    server.answer = OK
    golden = scenario("smartenergygroups", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert server.requests[0].text.startswith("data_post=%28site+site_0123+%28node+XXX345+2023-11-14T22%3A13%3A30Z+")
    assert server.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"


def test_without_an_address_it_says_what_became_of_the_service(tmp_path: Path) -> None:
    """One line, and with an address of something else it works."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, f'[sink.seg]\nuse = "smartenergygroups"\ntoken = "{TOKEN}"\n')
    assert [(p.key, p.message) for p in error.value.problems] == [
        (
            "url",
            "Smart Energy Groups ended in 2020: set `url` to the address of a service that speaks its protocol",
        )
    ]


@pytest.mark.parametrize("name", ["a(b", "a)", '"a"', " a", "a  b", "a\tb"])
def test_a_name_that_would_break_the_brackets_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is escaped in this protocol."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(
            tmp_path, table("http://127.0.0.1", {"seg_token": TOKEN}, f"map = {{ ch1 = {json.dumps(name)} }}\n")
        )
    assert [problem.key for problem in error.value.problems] == ["map"]


def test_what_is_no_stream_is_refused(tmp_path: Path) -> None:
    """Channels, pulse counters and temperatures are streams; volts were never one."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(
            tmp_path, table("http://127.0.0.1", {"seg_token": TOKEN}, 'map = { volts = "v", p1 = "water" }\n')
        )
    assert [(p.key, p.message) for p in error.value.problems] == [
        ("map", "volts: expected a channel, a pulse counter (p1) or a temperature (t1)")
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, "(status err)"), Retry),
        (Reply(200, "<html>parked domain"), Retry),
        (Reply(500), Retry),
        (Reply(403, "bad token"), Stop),
    ],
)
def test_only_status_ok_is_success(server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]) -> None:
    """What is not `(status ok)` is tried again, unless it needs a person."""
    server.answer = reply
    golden = scenario("smartenergygroups", TYPICAL)
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_after_an_error_in_the_body_every_reading_arrives_once(server: HostedService, tmp_path: Path) -> None:
    """Golden `error_body`: btmon logged it and lost the readings (QUIRKS C5)."""
    golden = scenario("smartenergygroups", "ecm1240bin_steady.error_body")
    server.answer = OK
    server.fail(*(request.reply for request in golden.requests[:1]))
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path
    )
    sent = "".join(request.form["data_post"] for request in server.requests[1:])
    assert (worker.stop_reason, worker.dead_letters, len(server.requests)) == ("", 0, 2)
    assert len(set(re.findall(r"node XXX345 (\S+)", sent))) == len(re.findall("node", sent)) == 7


def test_a_week_s_outage_is_made_up_for_in_bounded_requests(server: HostedService, tmp_path: Path) -> None:
    """A hundred readings a request at most, each once, in order."""
    server.answer = OK
    sink = sink_from_toml(tmp_path, table(server.url, {"seg_token": TOKEN}))
    worker = deliver_entries(sink, ecm1240_entries(7 * 86_400, interval=1800), tmp_path)
    nodes = [re.findall(r"node XXX345 (\S+)", request.form["data_post"]) for request in server.requests]
    times = [time for some in nodes for time in some]
    assert (worker.stop_reason, len(times), times) == ("", 336, sorted(set(times)))
    assert max(map(len, nodes)) <= 100


def test_a_dry_run_shows_the_expression_and_no_token(server: HostedService, tmp_path: Path) -> None:
    """One line for each request."""
    golden = scenario("smartenergygroups", TYPICAL)
    lines = preview_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    start = f"PUT {server.url}/api_sites/stream data_post=(site *** (node XXX345 2023-11-14T22:13:30Z (p_ch1 -1536.40)"
    assert [line.startswith(start) for line in lines] == [True, False]
    assert [line for line in lines if TOKEN in line] == []


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("smartenergygroups") if not name.endswith(elsewhere)} == {
        TYPICAL,
        "ecm1240bin_steady.nomap",
        "ecm1240bin_steady.uppercase_map",
        "gem48ptbin_steady.nomap",
        "gem48ptbin_steady.typical",
    }
