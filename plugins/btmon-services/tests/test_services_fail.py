# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that fail in every way: what was not taken comes again, in order, and no text shows a secret."""

import logging
import traceback
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from helpers.btmon_requests import scenario, scenario_names
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.hosted_services import SECRET, SECRET_IN_URL, SERVICES, service_sink
from helpers.journal_entries import entries_of
from helpers.plugin_calls import make_context, preview_batches, process_batches

from btcore import Retry
from btcore.errors import ConfigurationError
from btcore.journal.opening import DEFAULT, open_journal
from btcore.testing import Clock, HostedService, Reply

pytestmark = pytest.mark.servers

NEED_A_PERSON = [("emoncms", "ecm1240bin_steady.error_body")]
"""Failures that do not pass by themselves: here a wrong key."""

FAILURES = [
    (name, recording)
    for name, case in SERVICES.items()
    for recording in scenario_names(case.btmon)
    if recording.endswith(("http_500", "error_body", "error_body_nack", "refused"))
    and (name, recording) not in NEED_A_PERSON
]


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    """Go through the services."""
    return str(request.param)


def seconds(time: str | None) -> int:
    """Read a time as a service gets it."""
    assert time
    return int(time) if time.isdigit() else int(datetime.fromisoformat(time).timestamp())


class Repair(Clock):
    """A clock on which a service that is down comes back while somebody waits for it the third time."""

    def __init__(self, server: HostedService) -> None:
        """Begin with the service down."""
        super().__init__()
        self._server = server
        self._waits = 0
        server.down()

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time pass."""
        self._waits += bool(timeout)
        if self._waits == 3 and timeout:
            self._server.up()
        return super().wait(timeout)


@pytest.mark.parametrize(("name", "recording"), FAILURES)
def test_everything_is_delivered_once_when_the_service_is_back(
    server: HostedService, tmp_path: Path, name: str, recording: str
) -> None:
    """QUIRKS C5: what btmon could not send was lost; here it comes again until it is taken, once and in order."""
    golden = scenario(SERVICES[name].btmon, recording)
    to = service_sink(name, server, tmp_path, "batch_size = 3\n")
    clock = Repair(server) if recording.endswith("refused") else Clock()
    for _ in range(0 if recording.endswith("refused") else 2):
        server.fail(golden.requests[0].reply)
    worker = deliver_entries(to, entries_of(golden.readings), tmp_path, clock)
    taken = [request for request in server.requests if request.reply == SERVICES[name].taken]
    times = [seconds(time) for request in taken for time in SERVICES[name].times(request)]
    assert (worker.stop_reason, worker.dead_letters) == ("", 0)
    assert times == [int(reading.timestamp) for reading in golden.readings[1:]]


def test_a_dry_run_sends_nothing_and_shows_no_secret(server: HostedService, tmp_path: Path, name: str) -> None:
    """Golden `skip_upload`: what would be sent is told (QUIRKS E4: btmon told nothing), without key and address."""
    golden = scenario(SERVICES[name].btmon, "ecm1240bin_steady.skip_upload")
    lines = preview_batches(service_sink(name, server, tmp_path).instance, golden.batches())
    assert (len(lines) >= 2, server.requests, [line for line in lines if _shows(line, name)]) == (True, [], [])


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, f"no {SECRET} {SECRET_IN_URL}"),
        Reply(200, f"<error>{SECRET} {SECRET_IN_URL}</error>"),
        Reply(400, f"/v1/users/{SECRET_IN_URL}/homes/1 {quote(SECRET, safe='')} {escape(SECRET)}"),
        Reply(401, f"esp token={SECRET}; {SECRET_IN_URL}"),
        Reply(302, headers={"Location": f"/v1/users/{SECRET_IN_URL}?key={SECRET}"}),
        Reply(wire="reset"),
    ],
)
def test_no_text_shows_a_secret(
    server: HostedService, tmp_path: Path, name: str, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS E3: neither the log at debug level, nor what is kept of a failure, nor a repr has a secret in it."""
    caplog.set_level(logging.DEBUG)
    to = service_sink(name, server, tmp_path)
    server.fail(*[reply] * 20)
    worker = deliver_entries(
        to, entries_of(scenario(SERVICES[name].btmon, "ecm1240bin_steady.typical").readings), tmp_path
    )
    aside = [one.why for one in open_journal(DEFAULT, tmp_path).dead_letters()]
    told = [*caplog.messages, caplog.text, worker.stop_reason, *aside, repr(to), repr(to.instance)]
    assert [text for text in told if _shows(text, name)] == []
    assert len(server.requests) >= 1


def test_no_error_shows_a_secret(server: HostedService, tmp_path: Path, name: str) -> None:
    """A connection that fails raises what tells the host, and nothing else of the address."""
    to = service_sink(name, server, tmp_path)
    server.down()
    with pytest.raises(Retry) as error:
        process_batches(to.instance, scenario(SERVICES[name].btmon, "ecm1240bin_steady.typical").batches())
    assert f"no answer from 127.0.0.1:{server.port}: Connection refused" in str(error.value)
    assert not _shows("".join(traceback.format_exception(error.value)), name)


@pytest.mark.parametrize("name", ["bidgely", "enersave", "peoplepower", "plotwatt", "wattzon"])
def test_a_map_of_what_measures_no_power_is_refused(server: HostedService, tmp_path: Path, name: str) -> None:
    """A temperature, or a single number, has neither power nor energy that could be sent as such."""
    table = SERVICES[name].table.replace("URL", server.url).replace("{ ch1 =", "{ t1 =")
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, f"[sink.{name}]\n{table}")
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("map", "t1 does not measure power: expected a channel such as 399999_ch1")
    ]


def test_a_service_that_hangs_is_given_up_in_time(server: HostedService, tmp_path: Path, name: str) -> None:
    """No answer within the time-out is a failure that passes."""
    to = service_sink(name, server, tmp_path, 'timeout = "200ms"\n')
    server.fail(Reply(wire="hang"))
    with pytest.raises(Retry, match=r"did not answer within 0\.2 s"):
        process_batches(to.instance, scenario(SERVICES[name].btmon, "ecm1240bin_steady.typical").batches())


@pytest.mark.parametrize(
    ("name", "own_address", "warnings"),
    [
        ("bidgely", True, ["Bidgely is not known to be operating; readings wait here until it answers"]),
        ("eragy", False, ["Eragy is not known to be operating; readings wait here until it answers"]),
        ("eragy", True, []),
        ("peoplepower", False, ["People Power is not known to be operating; readings wait here until it answers"]),
        ("peoplepower", True, []),
        ("plotwatt", False, ["PlotWatt is not known to be operating; readings wait here until it answers"]),
        ("plotwatt", True, []),
        ("wattvision", False, ["Wattvision is not known to be operating; readings wait here until it answers"]),
        ("wattvision", True, []),
        ("emoncms", False, []),
        ("thingspeak", False, []),
        ("enersave", True, []),
        ("smartenergygroups", True, []),
        ("wattzon", True, []),
        ("xively", True, []),
    ],
)
def test_a_service_of_which_nothing_is_known_warns_once(
    server: HostedService,
    tmp_path: Path,
    name: str,
    own_address: bool,
    warnings: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At its own address one that may be gone says so when it is opened; at somebody else's it is not its business."""
    lines = SERVICES[name].table.replace("URL", server.url).splitlines()
    text = "\n".join(line for line in lines if own_address or not line.startswith("url"))
    process_batches(sink_from_toml(tmp_path, f"[sink.{name}]\n{text}\n").instance, [], make_context())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == warnings


def _shows(text: str, name: str) -> bool:
    secret = SERVICES[name].secret
    return any(form in text for form in (secret, quote(secret, safe=""), escape(secret)))
