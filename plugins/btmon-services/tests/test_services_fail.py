"""Services that fail in every way: what was not taken comes again, in order, and no text shows a secret."""

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

import attrs
import pytest
from scenarios import make_context, names, preview, run, scenario
from servers.recorder import Recorder, Reply, Request
from uploads import Clock, configured, deliver, entries

from btcore import Retry
from btcore.configuration import Sink
from btcore.errors import ConfigurationError
from btcore.sqlite_journal import SqliteJournal

pytestmark = pytest.mark.servers

SECRET = "s3cr3t&T0KEN/0123456789"
IN_ADDRESS = "s3cr3t-T0KEN-0123456789"
ACK = '<s2h ver="2" hubId="77" status="ACK"/>'


@attrs.frozen
class Case:
    """One service: btmon's name for it, its table, what it answers when all is well, and the times of a request."""

    btmon: str
    table: str
    taken: Reply
    times: Callable[[Request], list[str | None]]
    secret: str = SECRET


def _stamps(request: Request, path: str, name: str) -> list[str | None]:
    return [found.get(name) for found in request.xml.iterfind(path)]


CASES: Mapping[str, Case] = {
    "bidgely": Case(
        "bidgely",
        f'url = "URL/v1/users/{IN_ADDRESS}/homes/1/gateways/1/upload"\nmap = {{ ch1 = {{}} }}\n',
        Reply(),
        lambda request: _stamps(request, ".//stream[@unit='Wh']/data", "time"),
        IN_ADDRESS,
    ),
    "emoncms": Case(
        "oem",
        f'url = "URL/emoncms"\ntoken = "{SECRET}"\n',
        Reply(200, "ok"),
        lambda request: [str(row[0]) for row in json.loads(request.form["data"])],
    ),
    "enersave": Case(
        "enersave",
        f'url = "URL/fetcher/data"\ntoken = "{SECRET}"\nmap = {{ ch1 = {{}} }}\n',
        Reply(),
        lambda request: _stamps(request, ".//energy", "time"),
    ),
    "eragy": Case(
        "eragy",
        f'url = "URL/energyremote.aspx"\ntoken = "{SECRET}"\ngateway_id = "1"\n',
        Reply(200, "<xml>0</xml>"),
        lambda request: _stamps(request, ".//MTU[@ID='XXX345_ch1']/cumulative", "timestamp"),
    ),
    "peoplepower": Case(
        "peoplepower",
        f'url = "URL/deviceio/ml"\ntoken = "{SECRET}"\nmap = {{ ch1 = "d" }}\n',
        Reply(200, ACK),
        lambda request: _stamps(request, ".//measure", "timestamp"),
    ),
    "plotwatt": Case(
        "plotwatt",
        f'url = "URL"\napi_key = "{SECRET}"\nmap = {{ ch1 = "1000" }}\n',
        Reply(),
        lambda request: list(request.text.split(",")[2::3]),
    ),
    "smartenergygroups": Case(
        "smartenergygroups",
        f'url = "URL/api_sites/stream"\ntoken = "{SECRET}"\nmap = {{ ch1 = "" }}\n',
        Reply(200, "(status ok)"),
        lambda request: list(re.findall(r"\(node \S+ (\S+) ", request.form["data_post"])),
    ),
    "thingspeak": Case(
        "thingspeak",
        f'url = "URL"\ntokens = {{ "312345" = "{SECRET}" }}\nevery = 0\n',
        Reply(200, "17"),
        lambda request: [request.form["created_at"]],
    ),
    "wattvision": Case(
        "wattvision",
        f'url = "URL"\napi_id = "1"\napi_key = "{SECRET}"\nsensor_id = "2"\nchannel = "312345_ch1"\nevery = 0\n',
        Reply(),
        lambda request: [f"{request.json['time']}Z"],
    ),
    "wattzon": Case(
        "wattzon",
        f'url = "URL"\napi_key = "{SECRET}"\nuser = "me"\npassword = "{SECRET}"\nmap = {{ ch1 = "a" }}\nevery = 0\n',
        Reply(200, '{"status":"ok"}'),
        lambda request: [update["timestamp"] for update in request.json["updates"]],
    ),
    "xively": Case(
        "pachube",
        f'url = "URL/v2/feeds"\ntoken = "{SECRET}"\nfeed = "3000"\n',
        Reply(),
        lambda request: [point["at"] for point in request.json["datastreams"][0]["datapoints"]],
    ),
}
NEED_A_PERSON = [("emoncms", "ecm1240bin_steady.error_body")]
"""Failures that do not pass by themselves: here a wrong key."""

FAILURES = [
    (name, recording)
    for name, case in CASES.items()
    for recording in names(case.btmon)
    if recording.endswith(("http_500", "error_body", "error_body_nack", "refused"))
    and (name, recording) not in NEED_A_PERSON
]


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    """Go through the services."""
    return str(request.param)


def sink(name: str, server: Recorder, folder: Path, more: str = "") -> Sink:
    """Make a sink of a service that delivers to a server."""
    server.answer = CASES[name].taken
    return configured(folder, f"[sink.{name}]\n{CASES[name].table.replace('URL', server.url)}{more}")


def seconds(time: str | None) -> int:
    """Read a time as a service gets it."""
    assert time
    return int(time) if time.isdigit() else int(datetime.fromisoformat(time).timestamp())


class Repair(Clock):
    """A clock on which a service that is down comes back while somebody waits for it the third time."""

    def __init__(self, server: Recorder) -> None:
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
    server: Recorder, tmp_path: Path, name: str, recording: str
) -> None:
    """QUIRKS C5: what btmon could not send was lost; here it comes again until it is taken, once and in order."""
    golden = scenario(CASES[name].btmon, recording)
    to = sink(name, server, tmp_path, "batch_size = 3\n")
    clock = Repair(server) if recording.endswith("refused") else Clock()
    for _ in range(0 if recording.endswith("refused") else 2):
        server.fail(golden.requests[0].reply)
    worker = deliver(to, entries(golden), tmp_path, clock)
    taken = [request for request in server.requests if request.reply == CASES[name].taken]
    times = [seconds(time) for request in taken for time in CASES[name].times(request)]
    assert (worker.parked, worker.aside) == ("", 0)
    assert times == [int(reading.timestamp) for reading in golden.readings[1:]]


def test_a_dry_run_sends_nothing_and_shows_no_secret(server: Recorder, tmp_path: Path, name: str) -> None:
    """Golden `skip_upload`: what would be sent is told (QUIRKS E4: btmon told nothing), without key and address."""
    golden = scenario(CASES[name].btmon, "ecm1240bin_steady.skip_upload")
    lines = preview(sink(name, server, tmp_path).instance, golden.batches())
    assert (len(lines) >= 2, server.requests, [line for line in lines if _shows(line, name)]) == (True, [], [])


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, f"no {SECRET} {IN_ADDRESS}"),
        Reply(200, f"<error>{SECRET} {IN_ADDRESS}</error>"),
        Reply(400, f"/v1/users/{IN_ADDRESS}/homes/1 {quote(SECRET, safe='')} {escape(SECRET)}"),
        Reply(401, f"esp token={SECRET}; {IN_ADDRESS}"),
        Reply(302, headers={"Location": f"/v1/users/{IN_ADDRESS}?key={SECRET}"}),
        Reply(wire="reset"),
    ],
)
def test_no_text_shows_a_secret(
    server: Recorder, tmp_path: Path, name: str, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS E3: neither the log at debug level, nor what is kept of a failure, nor a repr has a secret in it."""
    caplog.set_level(logging.DEBUG)
    to = sink(name, server, tmp_path)
    server.fail(*[reply] * 20)
    worker = deliver(to, entries(scenario(CASES[name].btmon, "ecm1240bin_steady.typical")), tmp_path)
    aside = [one.why for one in SqliteJournal(tmp_path / "journal.db").aside()]
    told = [*caplog.messages, caplog.text, worker.parked, *aside, repr(to), repr(to.instance)]
    assert [text for text in told if _shows(text, name)] == []
    assert len(server.requests) >= 1


def test_no_error_shows_a_secret(server: Recorder, tmp_path: Path, name: str) -> None:
    """A connection that fails raises what tells the host, and nothing else of the address."""
    to = sink(name, server, tmp_path)
    server.down()
    with pytest.raises(Retry) as error:
        run(to.instance, scenario(CASES[name].btmon, "ecm1240bin_steady.typical").batches())
    assert f"no answer from 127.0.0.1:{server.port}: Connection refused" in str(error.value)
    assert not _shows("".join(traceback.format_exception(error.value)), name)


@pytest.mark.parametrize("name", ["bidgely", "enersave", "peoplepower", "plotwatt", "wattzon"])
def test_a_map_of_what_measures_no_power_is_refused(server: Recorder, tmp_path: Path, name: str) -> None:
    """A temperature, or a single number, has neither power nor energy that could be sent as such."""
    table = CASES[name].table.replace("URL", server.url).replace("{ ch1 =", "{ t1 =")
    with pytest.raises(ConfigurationError) as error:
        configured(tmp_path, f"[sink.{name}]\n{table}")
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("map", "t1 does not measure power: expected a channel such as 399999_ch1")
    ]


def test_a_service_that_hangs_is_given_up_in_time(server: Recorder, tmp_path: Path, name: str) -> None:
    """No answer within the time-out is a failure that passes."""
    to = sink(name, server, tmp_path, 'timeout = "200ms"\n')
    server.fail(Reply(wire="hang"))
    with pytest.raises(Retry, match=r"did not answer within 0\.2 s"):
        run(to.instance, scenario(CASES[name].btmon, "ecm1240bin_steady.typical").batches())


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
    server: Recorder,
    tmp_path: Path,
    name: str,
    own_address: bool,
    warnings: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At its own address one that may be gone says so when it is opened; at somebody else's it is not its business."""
    lines = CASES[name].table.replace("URL", server.url).splitlines()
    text = "\n".join(line for line in lines if own_address or not line.startswith("url"))
    run(configured(tmp_path, f"[sink.{name}]\n{text}\n").instance, [], make_context())
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == warnings


def _shows(text: str, name: str) -> bool:
    secret = CASES[name].secret
    return any(form in text for form in (secret, quote(secret, safe=""), escape(secret)))
