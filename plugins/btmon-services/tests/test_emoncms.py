# SPDX-License-Identifier: GPL-3.0-or-later
"""emoncms: what it has to store is what btmon sent, in bulk; its answers, HTTP 200 or not, are understood.

`Emoncms` answers as a real emoncms was seen to. It is no emoncms: that runs on PHP, and is in no package repository.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from helpers.btmon_requests import scenario, scenario_names
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import preview_batches, process_batches

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
KEY = "abcdef0123456789"
Input = tuple[int, str, str, float]
"""Time, node, name and value."""


NODES = [
    (200, "Error: Nodeid must be an integer between 0 and 30, nodeid given was not numeric\n"),
    (200, "Nodeid must be an integer between 0 and 32, nodeid given was shed"),
    (200, "nodeid must be an integer between 0 and 30, nodeid given was out of range"),
    (200, '{"success": false, "message": "Invalid node name"}'),
    (200, '{"success": false, "message": "Node name is not allowed: shed"}'),
    (400, "Invalid node"),
]
"""How emoncms, old and made up, refuses a node."""

ON_THE_WAY = 30
"""Seconds that a request of these tests is on its way at most."""


@attrs.define
class Emoncms:
    """An account of emoncms: what its inputs were set to, in order."""

    key: str = KEY
    read_key: str = "9876543210fedcba"
    inputs: list[Input] = attrs.field(factory=list)

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key in ("", self.read_key):
            return Reply(200, "")
        if key != self.key:
            return Reply(401, "Invalid API key")
        if request.path != "/emoncms/input/bulk":
            return Reply(404, "Not found")
        try:
            rows = json.loads(request.form["data"])
        except ValueError:
            return Reply(200, '{"success": false, "message": "Format error, json string supplied is not valid"}')
        ahead = int(time.time()) - int(request.form["sentat"])
        # both clocks are this computer's: a second that begins while the request is on its way is no difference of them
        self.inputs += [one for row in rows for one in _stored(row, ahead if ahead > ON_THE_WAY else 0)]
        return Reply(200, "ok")


def _stored(row: list[object], ahead: int) -> Iterator[Input]:
    at, node, *tables = row
    for found in tables:
        assert isinstance(at, int)
        assert isinstance(found, dict)
        name, value = next(iter(found.items()))  # whatever else is in it is not looked at
        yield at + ahead, str(node), name, float(value or 0)


@pytest.fixture
def server() -> Iterator[HostedService]:
    """Run an emoncms that says ok."""
    with HostedService(Reply(200, "ok")) as running:
        yield running


def table(url: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the table of a sink with btmon's options."""
    node = f'node = "{options["oem_node"]}"\n' if "oem_node" in options else ""
    return f'[sink.emoncms]\nurl = "{url}/emoncms"\ntoken = "{options["oem_token"]}"\n{node}{more}'


def posted(request: Request) -> Iterator[Input]:
    """Yield what btmon's request, whose "JSON" has no quotes, tells emoncms."""
    query = dict(request.query)
    for pair in query["json"].strip("{}").split(","):
        name, value = pair.split(":")
        yield int(query["time"]), query["node"], name, float(value)


@pytest.mark.parametrize(
    "name", [TYPICAL, "ecm1240bin_steady.node", "gem48ptbin_steady.typical", "gem48ptbin_steady.include_current"]
)
def test_emoncms_stores_what_btmon_sent(server: HostedService, tmp_path: Path, name: str) -> None:
    """Times, node, names, values and their order are the same; here in one request a pass, not one a reading."""
    golden = scenario("oem", name)
    server.answer = account = Emoncms()
    more = f"include_current = {str(golden.data['include_current']).lower()}\n"
    process_batches(
        sink_from_toml(tmp_path, table(server.url, golden.options, more)).instance,
        golden.batches(numbers_of_btmon=True),
    )
    assert account.inputs == [one for request in golden.requests for one in posted(request)]
    assert len(server.requests) == len(golden.passes)


def test_amperes_of_an_ecm_are_sent_when_asked_for(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E12: with btmon the switch did nothing for an ECM; all else is the same."""
    golden = scenario("oem", "ecm1240bin_steady.include_current")
    server.answer = account = Emoncms()
    sink = sink_from_toml(tmp_path, table(server.url, golden.options, "include_current = true\n"))
    process_batches(sink.instance, golden.batches(numbers_of_btmon=True))
    expected = [one for request in golden.requests for one in posted(request)]
    more = [one for one in account.inputs if one not in expected]
    assert {name for _, _, name, _ in more} == {"XXX345_ch1_a", "XXX345_ch2_a"}
    assert [one for one in account.inputs if one not in more] == expected


def test_watts_are_net_where_btmon_added_both_directions(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W."""
    golden = scenario("oem", TYPICAL)
    server.answer = account = Emoncms()
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    watts = [value for _, _, name, value in account.inputs if name == "XXX345_ch2_w"]
    assert watts == [2187.7, 2301.1, 970.22, -1746.55, -812.7, 0.0, 0.0]


def test_what_is_not_known_is_left_out(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS B1: emoncms stores a null as 0, and btmon sent 0 degrees for a sensor that is not there."""
    golden = scenario("oem", "gem48ptbin_steady.typical")
    server.answer = account = Emoncms()
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    missing = {name for _, _, name, _ in map(tuple, (one for r in golden.requests for one in posted(r)))} - {
        name for _, _, name, _ in account.inputs
    }
    assert missing == {"XXX234_t3"}


def test_the_key_is_a_header_and_the_rest_a_form(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS E7, E8: btmon had the key, and braces as they are, in the address, and posted nothing."""
    golden = scenario("oem", TYPICAL)
    server.answer = Emoncms()
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    first = server.requests[0]
    assert (first.method, first.query, first.headers["authorization"]) == ("POST", (), f"Bearer {KEY}")
    assert first.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sorted(first.form) == ["data", "sentat"]
    assert KEY not in first.text


@pytest.mark.parametrize("page", ["", "/", "/input/post.json", "/input/post", "/input/bulk.json"])
def test_the_address_of_btmon_s_page_is_understood(server: HostedService, tmp_path: Path, page: str) -> None:
    """`oem_url` named one page: a configuration that was taken over reaches the bulk page beside it."""
    golden = scenario("oem", TYPICAL)
    configuration = table(server.url, golden.options).replace("/emoncms", f"/emoncms{page}")
    process_batches(sink_from_toml(tmp_path, configuration).instance, golden.batches())
    assert {request.path for request in server.requests} == {"/emoncms/input/bulk"}


@pytest.mark.parametrize("reply", [Reply(200, "ok"), Reply(200, '"ok"\n'), Reply(200, '{"success": true}')])
def test_every_success_is_understood(server: HostedService, tmp_path: Path, reply: Reply) -> None:
    """Text or JSON, as different versions of emoncms answer."""
    golden = scenario("oem", TYPICAL)
    server.answer = reply
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert len(server.requests) == len(golden.passes)


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(200, ""), Stop, "write key"),
        (Reply(200, "Invalid API key"), Stop, "write key"),
        (Reply(401, "Invalid API key"), Stop, "check `token`, which must be the write key"),
        (Reply(406, "<html>Not acceptable</html>"), Stop, "check `url`"),
        *((Reply(code, text), Stop, "check `node`: an older emoncms takes only numbers") for code, text in NODES),
        (Reply(200, '{"success": false, "message": "Format error, json value is not numeric"}'), Reject, "not numeric"),
        (Reply(200, "Format error, json string supplied is not valid"), Reject, "not valid"),
        (Reply(200, "<br />\n<b>Fatal error</b>: Uncaught mysqli_sql_exception"), Retry, "is `url` right?"),
        (Reply(500, "Database error"), Retry, "Database error"),
        (Reply(503, ""), Retry, "503"),
    ],
)
def test_every_failure_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception], words: str
) -> None:
    """HTTP 200 may be an error: bad data, a missing or read-only key (nothing at all), a page of PHP's."""
    golden = scenario("oem", TYPICAL)
    server.answer = reply
    with pytest.raises(error, match=words):
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())


@pytest.mark.parametrize("node", ["", "a node with too long a name", "a[b]"])
def test_a_node_that_emoncms_would_change_is_refused(tmp_path: Path, node: str) -> None:
    """emoncms.org keeps 16 characters, and no others than letters, digits, blanks and _ . -."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, f'[sink.emoncms]\ntoken = "{KEY}"\nnode = "{node}"\n')
    assert [problem.key for problem in error.value.problems] == ["node"]


def test_two_meters_whose_numbers_end_alike_are_told_apart(
    server: HostedService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS E5: 312345 and 413345 were both XXX345; each has its own inputs, by more digits or by all of them."""
    server.answer = account = Emoncms()
    both = [*ecm1240_entries(60, serial="312345"), *ecm1240_entries(60, serial="413345")]
    for more, expected in (
        ("", {"XXX2345_volts", "XXX3345_volts"}),
        ('serials = "full"\n', {"312345_volts", "413345_volts"}),
    ):
        account.inputs.clear()
        (folder := tmp_path / str(len(more))).mkdir()
        worker = deliver_entries(sink_from_toml(folder, table(server.url, {"oem_token": KEY}, more)), both, folder)
        assert (worker.stop_reason, worker.dead_letters) == ("", 0)
        assert {name for _, _, name, _ in account.inputs if "volts" in name} == expected
    (target,) = [text for text in caplog.messages if "would both be" in text]
    assert target == (
        "meters 312345 and 413345 would both be XXX345 there: they are XXX2345 and XXX3345 now; serials"
        ' = "full" sends complete numbers'
    )


@pytest.mark.parametrize("failure", [Reply(500), Reply(200, "<b>Fatal error</b>"), Reply(wire="reset")])
def test_after_an_outage_every_reading_arrives_once_and_oldest_first(
    server: HostedService, tmp_path: Path, failure: Reply
) -> None:
    """emoncms.org takes nothing behind what it has."""
    server.answer = account = Emoncms()
    server.fail(*[failure] * 5)
    sink = sink_from_toml(tmp_path, table(server.url, {"oem_token": KEY}))
    worker = deliver_entries(sink, ecm1240_entries(7 * 86_400, interval=1800), tmp_path)
    times = [at for at, _, name, _ in account.inputs if name == "XXX345_ch1_w"]
    assert (worker.stop_reason, worker.dead_letters, len(times)) == ("", 0, 336)
    assert times == sorted(set(times))


def test_after_a_wrong_key_was_mended_nothing_is_missing(server: HostedService, tmp_path: Path) -> None:
    """Golden `error_body`: the sink stops; with the right key and a restart all that waited is delivered."""
    golden = scenario("oem", "ecm1240bin_steady.error_body")
    server.answer = golden.requests[0].reply
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path
    )
    assert (worker.delivered, "it must be the write key" in worker.stop_reason, len(server.requests)) == (0, True, 1)
    server.answer = account = Emoncms()
    deliver_entries(sink_from_toml(tmp_path, table(server.url, golden.options)), [], tmp_path)
    times = [at for at, _, name, _ in account.inputs if name == "XXX345_volts"]
    assert times == [int(reading.timestamp) for reading in golden.readings[1:]]


def test_a_clock_that_is_wrong_is_allowed_for(server: HostedService, tmp_path: Path) -> None:
    """Each request says when it was sent, by the clock that the readings have."""
    process_batches(
        sink_from_toml(tmp_path, table(server.url, {"oem_token": KEY})).instance, scenario("oem", TYPICAL).batches()
    )
    assert abs(int(server.requests[0].form["sentat"]) - time.time()) < 60


def test_a_dry_run_shows_the_readings_and_no_key(server: HostedService, tmp_path: Path) -> None:
    """One line for each request."""
    golden = scenario("oem", TYPICAL)
    lines = preview_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    start = f'POST {server.url}/emoncms/input/bulk data=[[1700000010,"1",{{"XXX345_volts":120.9}},{{"XXX345_ch1_w":'
    assert [line.startswith(start) for line in lines] == [True, False]
    assert [line for line in lines if KEY in line] == []


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("oem") if not name.endswith(elsewhere)} == {
        TYPICAL,
        "ecm1240bin_steady.node",
        "ecm1240bin_steady.include_current",
        "gem48ptbin_steady.include_current",
        "gem48ptbin_steady.typical",
    }
