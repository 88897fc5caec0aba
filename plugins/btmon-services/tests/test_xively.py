# SPDX-License-Identifier: GPL-3.0-or-later
"""Xively: what is sent is what btmon sent to Pachube, and its answers are understood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.btmon_requests import scenario, scenario_names
from helpers.configured_sink import sink_from_toml
from helpers.plugin_calls import process_batches

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

SENT = ("ecm1240bin_steady.typical", "gem48ptbin_steady.typical")


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["pbe_url"].replace("http://{server}", url)
    return f'[sink.xively]\nurl = "{address}"\ntoken = "{options["pbe_token"]}"\nfeed = "{options["pbe_feed"]}"\n'


def streams(request: Request) -> dict[str, list[tuple[str, Any]]]:
    """Return the numbers of a request by stream, with their times; the order of streams means nothing."""
    assert request.json["version"] == "1.0.0"
    return {
        one["id"]: [(point["at"], point["value"]) for point in one["datapoints"]] for one in request.json["datastreams"]
    }


@pytest.mark.parametrize("name", SENT)
def test_xively_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, key, streams, times and numbers are the same, request for request."""
    golden = scenario("pachube", name)
    process_batches(
        sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches(numbers_of_btmon=True)
    )
    assert len(server.requests) == len(golden.requests)
    for ours, btmon in zip(server.requests, golden.requests, strict=True):
        assert (ours.method, ours.path) == (btmon.method, btmon.path)
        assert ours.headers["x-pachubeapikey"] == btmon.headers["x-pachubeapikey"]
        mine, theirs = streams(ours), streams(btmon)
        assert sorted(mine) == sorted(theirs)
        for stream, points in theirs.items():
            assert [time for time, _ in mine[stream]] == [time for time, _ in points]
            assert [value for _, value in mine[stream]] == pytest.approx([value for _, value in points], abs=1e-9)


def test_watts_are_net_where_btmon_added_both_directions(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W."""
    golden = scenario("pachube", SENT[0])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    sent = [value for request in server.requests for _, value in streams(request)["XXX345_ch2"]]
    assert [round(value, 3) for value in sent] == [2187.7, 2301.1, 970.222, -1746.545, -812.7, 0.0, 0.0]


def test_a_sensor_that_is_not_there_has_no_number(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS B1: btmon sent 0 degrees where no sensor answered; here that moment has no point."""
    golden = scenario("pachube", SENT[1])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert streams(golden.requests[0])["XXX234_t4"][-1] == ("2023-11-14T22:14:00Z", 0)
    assert [time for time, _ in streams(server.requests[0])["XXX234_t4"]] == [
        f"2023-11-14T22:13:{second}Z" for second in (30, 40, 50)
    ]


def test_the_body_is_declared_as_what_it_is(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E8: btmon called it a form."""
    golden = scenario("pachube", SENT[0])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert {request.headers["content-type"] for request in server.requests} == {"application/json"}


def test_what_is_missing_is_named_all_at_once(tmp_path: Path) -> None:
    """QUIRKS E13, golden `missing_options`: btmon did not tell of a missing token."""
    assert "token" not in scenario("pachube", "ecm1240bin_steady.missing_options").refusal
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.xively]\n")
    assert [problem.key for problem in error.value.problems] == ["feed", "token"]


def test_a_service_that_is_gone_needs_an_address(tmp_path: Path) -> None:
    """Without an address the configuration is refused, in one line that says why."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, '[sink.xively]\ntoken = "TOKEN1234"\nfeed = "3000"\n')
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("url", "Xively was shut down in 2018: set `url` to the address of a service that speaks its protocol")
    ]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, '{"title":"Not found"}'), Retry),
        (Reply(200, '{"errors": "no such feed"}'), Retry),
        (Reply(403, '{"title":"Forbidden","errors":"You have exceeded your rate limit"}'), Retry),
        (Reply(500), Retry),
        (Reply(503), Retry),
        (Reply(400, '{"title":"JSON Parser Error"}'), Reject),
        (Reply(422), Reject),
        (Reply(401), Stop),
        (Reply(403, '{"title":"Forbidden","errors":"not your feed"}'), Stop),
        (Reply(404, '{"title":"Not found"}'), Stop),
        (Reply(406), Stop),
    ],
)
def test_an_answer_that_is_no_success_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """QUIRKS E2: btmon took whatever came for success; here each documented code, and an error in an answer of 200."""
    server.answer = reply
    golden = scenario("pachube", SENT[0])
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_a_feed_is_only_part_of_the_address(server: HostedService, tmp_path: Path) -> None:
    """Whatever is written for the feed, and whether or not the address ends with a slash, the path is one below it."""
    text = f'[sink.xively]\nurl = "{server.url}/v2/feeds/"\ntoken = "TOKEN1234"\nfeed = "a/../b"\n'
    process_batches(sink_from_toml(tmp_path, text).instance, scenario("pachube", SENT[0]).batches())
    assert {request.path for request in server.requests} == {"/v2/feeds/a%2F..%2Fb"}


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("pachube") if not name.endswith(elsewhere)} == set(SENT)
