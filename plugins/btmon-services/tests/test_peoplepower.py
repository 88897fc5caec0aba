# SPDX-License-Identifier: GPL-3.0-or-later
"""People Power: what is sent is what btmon sent, in messages whose numbers rise, and answers are understood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.btmon_requests import Scenario, scenario, scenario_names, toml_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.expected_flows import expected_flows
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import preview_batches, process_batches
from helpers.xml_values import xml_values

from btcore import Batch, Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request
from btcore.testing.kit.hosted_service import request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
SENT = (TYPICAL, "ecm1240bin_steady.no_add_devices", "gem48ptbin_steady.typical")


def reply(status: str) -> Reply:
    """Return an answer as People Power writes it."""
    return Reply(200, f'<?xml version="1.0" encoding="UTF-8"?><s2h ver="2" hubId="77" status="{status}"/>')


ACK = reply("ACK")


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["pp_url"].replace("http://{server}", url)
    add = f"add_devices = {options['pp_add_devices']}\n" if "pp_add_devices" in options else ""
    return (
        f'[sink.peoplepower]\nurl = "{address}"\ntoken = "{options["pp_token"]}"\nhub_id = "{options["pp_hub_id"]}"\n'
        f"map = {toml_map(options['pp_map'])}\n{add}"
    )


def all_of(golden: Scenario) -> list[Request]:
    """Return what btmon sent, with what it sent at its start."""
    start = [request(r["method"], r["target"], dict(r["headers"]), r["body"]) for r in golden.data["setup"]["requests"]]
    return start + golden.requests


def seen(sent: Request) -> tuple[Any, ...]:
    """Return what of a request the service sees, without its numbers; the order of `add` means nothing."""
    root = sent.xml
    root.set("seq", "")
    for one in root.iter("param"):
        one.text = ""
    unordered = ["h2s"] if root.find("add") is not None else []
    return (
        sent.method,
        sent.path,
        sent.headers["ppcauthorization"],
        sent.headers["content-type"],
        xml_values(root, unordered=unordered),
    )


def numbers(requests: list[Request]) -> list[int]:
    """Return the numbers of messages."""
    return [int(sent.xml.get("seq", "")) for sent in requests]


def kinds(requests: list[Request]) -> list[str]:
    """Return what the messages are."""
    return [sent.xml[0].tag for sent in requests]


@pytest.mark.parametrize("name", SENT)
def test_people_power_gets_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Method, path, token, devices and times are the same, request for request, the devices first."""
    server.answer = ACK
    golden = scenario("peoplepower", name)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert [seen(sent) for sent in server.requests] == [seen(sent) for sent in all_of(golden)]


def test_the_numbers_of_messages_rise_also_over_a_restart(server: HostedService, tmp_path: Path) -> None:
    """Deviation: btmon began again with 1 at each start; the service wants numbers that rise for ever."""
    server.answer = ACK
    golden = scenario("peoplepower", TYPICAL)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    for _ in range(3):
        process_batches(sink.instance, golden.batches())
    assert numbers(all_of(golden)) == [1, 2, 3]
    assert numbers(server.requests) == sorted(set(numbers(server.requests)))
    assert len(server.requests) == 9


def test_what_is_sent_again_has_a_number_of_its_own(server: HostedService, tmp_path: Path) -> None:
    """A message that was not taken goes out again under the next number."""
    server.answer = ACK
    server.fail(ACK, reply("ERR"), Reply(500))
    golden = scenario("peoplepower", TYPICAL)
    deliver_entries(sink_from_toml(tmp_path, table(server.url, golden.options)), ecm1240_entries(60), tmp_path)
    assert kinds(server.requests) == ["add", "measure", "measure", "measure"]
    assert numbers(server.requests) == sorted(set(numbers(server.requests)))


@pytest.mark.parametrize("polarity", ["btmon", "brultech"])
@pytest.mark.parametrize("generation", ["", 'generation = ["ch2"]\n'])
def test_watts_and_watt_hours_of_a_device_are_of_one_direction(
    server: HostedService, tmp_path: Path, polarity: str, generation: str
) -> None:
    """QUIRKS A1, A2: btmon added both directions and sent net energy, which falls; here what was used, or generated."""
    server.answer = ACK
    golden = scenario("peoplepower", TYPICAL)
    text = f'[sink.peoplepower]\nurl = "{server.url}"\ntoken = "TOKEN1234"\nmap = {{ ch2 = "d" }}\n{generation}'
    deliver_entries(sink_from_toml(tmp_path, f'{text}polarity = "{polarity}"\n'), entries_of(golden.readings), tmp_path)
    found: list[Any] = [
        tuple(float(one.text or "") for one in measure.iter("param"))
        for sent in server.requests
        for measure in sent.xml.iter("measure")
    ]
    expected = expected_flows(golden.readings, "ch2", exported=bool(generation))
    assert found == [(pytest.approx(one.watts, abs=0.005), pytest.approx(one.energy, abs=1e-5)) for one in expected]
    assert [energy for _, energy in found] == sorted(energy for _, energy in found)


def test_what_generates_must_be_in_the_map(tmp_path: Path) -> None:
    """Else nothing of it would be sent, without a word."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(
            tmp_path, '[sink.peoplepower]\ntoken = "TOKEN1234"\nmap = { ch1 = "d" }\ngeneration = ["399999_ch2"]\n'
        )
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("generation", "399999_ch2 is not in map: only what is there is sent")
    ]


def test_a_device_s_id_may_hold_anything(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E7: an id is written properly, and the same device is added once."""
    server.answer = ACK
    text = f'[sink.peoplepower]\nurl = "{server.url}"\ntoken = "TOKEN1234"\nmap = {{ ch1 = "<é&", ch2 = "<é&" }}\n'
    process_batches(sink_from_toml(tmp_path, text).instance, scenario("peoplepower", TYPICAL).batches())
    assert [one.get("deviceId") for one in server.requests[0].xml.iter("add")] == ["<é&"]


@pytest.mark.parametrize("refusal", [reply("NACK"), reply("ERROR"), reply("ERR_FORMAT")])
def test_devices_that_are_not_added_hold_up_nothing(
    server: HostedService, tmp_path: Path, refusal: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be known already: readings are sent all the same, once they are taken no device is added again."""
    caplog.set_level("INFO")
    server.answer = ACK
    server.fail(refusal)
    golden = scenario("peoplepower", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert kinds(server.requests) == ["add", "measure", "measure"]
    assert "the devices were not added: People Power answered 200: " in caplog.text


def test_devices_are_added_again_until_something_is_taken(server: HostedService, tmp_path: Path) -> None:
    """While neither devices nor readings are taken, the devices go first again."""
    server.answer = ACK
    server.fail(reply("ERROR"), reply("ERROR"), Reply(500), ACK, ACK)
    golden = scenario("peoplepower", TYPICAL)
    deliver_entries(sink_from_toml(tmp_path, table(server.url, golden.options)), ecm1240_entries(60), tmp_path)
    assert kinds(server.requests) == ["add", "measure", "add", "measure"]


@pytest.mark.parametrize("refusal", [Reply(400, "no"), Reply(413, ""), Reply(422, "known"), Reply(500, "known")])
def test_a_refusal_of_the_devices_takes_no_readings_along(
    server: HostedService, tmp_path: Path, refusal: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asked for the readings yet: they are sent, and not set aside; the refusal is told once."""
    server.answer = lambda request: refusal if request.xml.find("add") is not None else ACK
    server.fail(refusal, reply("NACK"), refusal, reply("NACK"))
    golden = scenario("peoplepower", TYPICAL)
    worker = deliver_entries(sink_from_toml(tmp_path, table(server.url, golden.options)), ecm1240_entries(60), tmp_path)
    assert kinds(server.requests) == ["add", "measure"] * 3
    assert (worker.dead_letters, worker.stop_reason, caplog.text.count("the devices were not added")) == (0, "", 1)


def test_a_wait_that_is_asked_for_with_the_devices_is_kept(server: HostedService, tmp_path: Path) -> None:
    """A service that wants to be left alone is not asked for the readings either."""
    server.answer = Reply(503, "", {"Retry-After": "40"})
    golden = scenario("peoplepower", TYPICAL)
    with pytest.raises(Retry) as error:
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert (error.value.after, kinds(server.requests)) == (40.0, ["add"])


def test_a_batch_without_samples_adds_the_devices_alone(server: HostedService, tmp_path: Path) -> None:
    """The first reading of a meter has no sample: only the devices are sent, again while they are refused."""
    server.answer = ACK
    server.fail(reply("NACK"))
    golden = scenario("peoplepower", TYPICAL)
    first, *_ = golden.batches()
    alone = Batch(readings=first.readings[:1])
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, [alone, alone, alone])
    assert kinds(server.requests) == ["add", "add"]


@pytest.mark.parametrize("status", ["ACK", "CONT", "ack"])
def test_success_is_understood(server: HostedService, tmp_path: Path, status: str) -> None:
    """A message is taken when the answer says ACK, or CONT: that somebody is looking."""
    server.answer = reply(status)
    golden = scenario("peoplepower", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert kinds(server.requests) == ["add", "measure", "measure"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply("NACK"), Retry),
        (reply("ERROR"), Retry),
        (reply("ERR"), Retry),
        (Reply(200, ""), Retry),
        (Reply(200, "<html>ACK</html>"), Retry),
        (Reply(500), Retry),
        (reply("ERR_FORMAT"), Reject),
        (Reply(400), Reject),
        (reply("UNKNOWN"), Stop),
        (reply("UNAUTHORIZED"), Stop),
        (Reply(401), Stop),
        (Reply(404), Stop),
    ],
)
@pytest.mark.parametrize("add", ["true", "false"])
def test_an_answer_that_is_no_success_is_understood(
    server: HostedService, tmp_path: Path, answer: Reply, error: type[Exception], add: str
) -> None:
    """QUIRKS E2: btmon took NACK for success. Every result code that is documented has its meaning."""
    server.answer = answer
    golden = scenario("peoplepower", TYPICAL)
    options = golden.options | {"pp_add_devices": add}
    with pytest.raises(error):
        process_batches(sink_from_toml(tmp_path, table(server.url, options)).instance, golden.batches())


def test_a_dry_run_shows_the_devices_once(server: HostedService, tmp_path: Path) -> None:
    """What would be sent is told, the devices before the first batch; nothing is sent."""
    golden = scenario("peoplepower", TYPICAL)
    lines = preview_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert [("<add " in line, "<measure " in line) for line in lines] == [(True, False), (False, True), (False, True)]
    assert server.requests == []


def test_what_is_missing_is_named_all_at_once(tmp_path: Path) -> None:
    """Golden `missing_options` and `nomap`: token and map are both named."""
    assert "No token" in scenario("peoplepower", "ecm1240bin_steady.missing_options").refusal
    assert "No mapping" in scenario("peoplepower", "ecm1240bin_steady.nomap").refusal
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, "[sink.peoplepower]\n")
    assert [problem.key for problem in error.value.problems] == ["token", "map"]


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "error_body_nack", "http_500", "refused", "skip_upload", "missing_options", "nomap")
    assert {name for name in scenario_names("peoplepower") if not name.endswith(elsewhere)} == set(SENT)
