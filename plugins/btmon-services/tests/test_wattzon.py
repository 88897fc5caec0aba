# SPDX-License-Identifier: GPL-3.0-or-later
"""WattzOn: one update a reading and channel, to whatever speaks that protocol."""

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries
from helpers.plugin_calls import preview_batches, process_batches

from btcore import Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
EACH = "ecm1240bin_steady.each_reading"
OK = Reply(200, '{"status":"ok"}')
SECRETS = ("apikey0123456789", "secret")


def table(url: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the table of a sink with btmon's options."""
    names = {"api_key": "wo_api_key", "user": "wo_user", "password": "wo_pass"}
    lines = "".join(f'{ours} = "{options[name]}"\n' for ours, name in names.items())
    return f'[sink.wattzon]\nurl = "{url}/api/2009-01-27/3"\nmap = {toml_map(options["wo_map"])}\n{lines}{more}'


def seen(request: Request) -> tuple[object, ...]:
    """Return what of a request the service sees; a power is a whole number of W, which btmon cut (QUIRKS E1)."""
    return request.method, request.path, request.query, request.headers.get("authorization"), request.json


@pytest.mark.parametrize("name", [EACH, "gem48ptbin_steady.each_reading"])
def test_each_reading_of_each_channel_is_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """QUIRKS E1: what btmon would have sent, had its log line not stopped it; a power is rounded, not cut."""
    server.answer = OK
    golden = scenario("wattzon", name)
    batches = golden.batches(numbers_of_btmon=True)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, batches)
    assert [seen(r)[:-1] for r in server.requests] == [seen(r)[:-1] for r in golden.requests]
    ours, btmon = (
        [(update["timestamp"], update["power"]["unit"]) for r in some for update in r.json["updates"]]
        for some in (server.requests, golden.requests)
    )
    assert ours == btmon
    powers = [
        (one.json["updates"][0]["power"]["magnitude"], other.json["updates"][0]["power"]["magnitude"])
        for one, other in zip(server.requests, golden.requests, strict=True)
    ]
    labels = [pair.split("_")[1] for pair in golden.options["wo_map"].split(",")[::2]]
    exact = [sample.get(f"{label}_w") or 0 for batch in batches for sample in batch.samples for label in labels]
    assert powers == [(round(watts), int(watts)) for watts in exact]


@pytest.mark.parametrize("name", [TYPICAL, "gem48ptbin_steady.typical"])
def test_credentials_are_sent_when_they_are_asked_for(server: HostedService, tmp_path: Path, name: str) -> None:
    """First without, and after 401 with realm WattzOn again with name and password."""
    golden = scenario("wattzon", name)
    replies = [request.reply for request in golden.requests[:2]]
    server.answer = lambda request: replies["authorization" in request.headers]
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    sent = [(request.path, request.query, request.headers.get("authorization")) for request in server.requests]
    expected = [(request.path, request.query, request.headers.get("authorization")) for request in golden.requests]
    assert sent[:2] == expected[:2]
    assert [credentials for _, _, credentials in sent] == [None, f"Basic {_basic('someone:secret')}"] * 21


def test_credentials_of_any_letters_are_sent_as_utf_8(server: HostedService, tmp_path: Path) -> None:
    """A password may have letters that no header may."""
    golden = scenario("wattzon", TYPICAL)
    replies = [golden.requests[0].reply, OK]
    server.answer = lambda request: replies["authorization" in request.headers]
    options = {**golden.options, "wo_pass": "pässword €"}
    process_batches(sink_from_toml(tmp_path, table(server.url, options)).instance, golden.batches()[:1])
    assert server.requests[1].headers["authorization"] == f"Basic {_basic('someone:pässword €')}"


def test_watts_are_net_where_btmon_added_both_directions(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W."""
    server.answer = OK
    golden = scenario("wattzon", EACH)
    options = {**golden.options, "wo_map": "312345_ch2,living room"}
    process_batches(sink_from_toml(tmp_path, table(server.url, options)).instance, golden.batches())
    watts = [request.json["updates"][0]["power"]["magnitude"] for request in server.requests]
    assert watts == [2188, 2301, 970, -1747, -813, 0, 0]


@pytest.mark.parametrize("name", ["ecm1240bin_steady.wrong_realm", "ecm1240bin_steady.no_challenge"])
def test_credentials_go_to_nobody_else(server: HostedService, tmp_path: Path, name: str) -> None:
    """Golden `wrong_realm` and `no_challenge`: whoever asks for others, or for none, gets none."""
    golden = scenario("wattzon", name)
    server.answer = golden.requests[0].reply
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    if server.answer.code == 401:
        with pytest.raises(Stop):
            process_batches(sink.instance, golden.batches())
    else:
        process_batches(sink.instance, golden.batches())
    assert [request for request in server.requests if "authorization" in request.headers] == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(200, '{"status":"error"}'), Retry), (Reply(200, "<html>parked domain"), Retry), (Reply(500), Retry)],
)
def test_only_status_ok_is_success(server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]) -> None:
    """QUIRKS E1, E2: btmon never came to look at the answer."""
    server.answer = reply
    golden = scenario("wattzon", TYPICAL)
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_a_failure_between_two_channels_sends_neither_twice(server: HostedService, tmp_path: Path) -> None:
    """The second channel's request fails: when the reading comes again, the first one's is not repeated."""
    server.answer = OK
    server.fail(OK, Reply(500), Reply(wire="reset"))
    options = {**scenario("wattzon", TYPICAL).options, "wo_map": "312345_ch1,kitchen,312345_aux1,hot tub"}
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, options, "interval = 0\n")),
        ecm1240_entries(60, interval=20),
        tmp_path,
    )
    taken = [(r.path.split("/")[-2], r.json["updates"][0]["timestamp"]) for r in server.taken]
    assert (worker.stop_reason, len(taken), len(server.requests)) == ("", 6, 8)
    assert [unquote(meter) for meter, _ in taken] == ["kitchen", "hot tub"] * 3
    assert [time for _, time in taken] == sorted(time for _, time in taken)


def test_a_week_s_outage_is_made_up_for(server: HostedService, tmp_path: Path) -> None:
    """Each reading of each channel once, in order."""
    server.answer = OK
    options = {**scenario("wattzon", TYPICAL).options, "wo_map": "312345_ch1,kitchen"}
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, options)), ecm1240_entries(7 * 86_400, interval=1800), tmp_path
    )
    times = [request.json["updates"][0]["timestamp"] for request in server.requests]
    assert (worker.stop_reason, len(times), times) == ("", 336, sorted(set(times)))


def test_without_address_map_or_credentials_all_that_is_missing_is_told(tmp_path: Path) -> None:
    """Golden `missing_options` and `nomap`: btmon told them too, but for the service's end."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.wattzon]\n")
    assert [problem.key for problem in error.value.problems] == ["api_key", "user", "password", "map"]
    with pytest.raises(ConfigurationError, match="WattzOn ended in 2011: set `url` to the address of a service"):
        sink_from_toml(
            tmp_path, '[sink.wattzon]\napi_key = "key 1"\nuser = "u"\npassword = "pw 1"\nmap = { ch1 = "a" }\n'
        )


def test_a_dry_run_shows_the_updates_and_no_secret(server: HostedService, tmp_path: Path) -> None:
    """One line for each update."""
    golden = scenario("wattzon", TYPICAL)
    lines = preview_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    page = f"{server.url}/api/2009-01-27/3/user/someone/powermeter/living%20room/upload.json?key=***"
    update = '{"updates": [{"timestamp": "2023-11-14T22:13:30Z", "power": {"magnitude": 2188, "unit": "W"}}]}'
    assert lines[1] == f"POST {page} {update}"
    assert (len(lines), [line for line in lines for secret in SECRETS if secret in line]) == (21, [])


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("wattzon") if not name.endswith(elsewhere)} == {
        TYPICAL,
        EACH,
        "ecm1240bin_steady.no_challenge",
        "ecm1240bin_steady.wrong_realm",
        "ecm1240bin_steady.nomap",
        "gem48ptbin_steady.each_reading",
        "gem48ptbin_steady.nomap",
        "gem48ptbin_steady.typical",
    }


def _basic(credentials: str) -> str:
    return base64.b64encode(credentials.encode()).decode()
