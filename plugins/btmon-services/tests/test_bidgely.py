"""Bidgely: what is sent is what btmon sent, with a counter that never falls, and the address stays a secret."""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from scenarios import described, names, run, scenario
from servers.recorder import Recorder, Reply, Request
from trees import tree
from uploads import Clock, configured, deliver, entries, made

from btcore import Reading, Reject, Retry, Stop
from btcore.errors import ConfigurationError

pytestmark = pytest.mark.servers

TYPICAL = ("ecm1240bin_steady.typical", "gem48ptbin_steady.typical")
ENERGY = "CurrentSummationDelivered"


def table(url: str, options: Mapping[str, str]) -> str:
    """Return the table of a sink with btmon's options."""
    address = options["by_url"].replace("http://{server}", url)
    return f'[sink.bidgely]\nurl = "{address}"\nmap = {described(options["by_map"])}\n'


def without_energy(request: Request) -> Element:
    """Return what was sent without the numbers of the energy, which differ on purpose."""
    root = request.xml
    for datum in root.iterfind(f".//stream[@id='{ENERGY}']/data"):
        datum.set("value", "")
    return root


def energies(request: Request, channel: str) -> Iterator[tuple[int, float]]:
    """Yield time and Wh of a channel."""
    for datum in request.xml.iterfind(f".//meter[@id='{channel}']//stream[@id='{ENERGY}']/data"):
        yield int(datum.get("time", "")), float(datum.get("value", ""))


def counters(readings: list[Reading], channel: str, *, exported: bool = False) -> list[tuple[int, float]]:
    """Return time and Wh of one direction, from the packets."""
    both = [(int(one.timestamp), one.get(f"{channel}_aws") or 0, one.get(f"{channel}_pws") or 0) for one in readings]
    return [(time, round((pws if exported else aws - pws) / 3600, 6)) for time, aws, pws in both]


@pytest.mark.parametrize("name", TYPICAL)
def test_bidgely_gets_what_btmon_sent(server: Recorder, tmp_path: Path, name: str) -> None:
    """Method, path, content type, meters, descriptions, times and watts are the same, request for request."""
    golden = scenario("bidgely", name)
    run(configured(tmp_path, table(server.url, golden.options)).instance, golden.batches(numbers_of_btmon=True))
    ours, btmon = (
        [(r.method, r.path, r.headers["content-type"], tree(without_energy(r), unordered=["meters"])) for r in requests]
        for requests in (server.requests, golden.requests)
    )
    assert ours == btmon


@pytest.mark.parametrize("name", TYPICAL)
def test_energy_is_a_counter_that_never_falls(server: Recorder, tmp_path: Path, name: str) -> None:
    """QUIRKS E11: btmon sent the net energy, which falls for a load; here it is the counter of what was used."""
    golden = scenario("bidgely", name)
    short = f"XXX{golden.readings[0].serial[-3:]}"
    run(configured(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    for channel in ("ch1", "ch2"):
        sent = [one for request in server.requests for one in energies(request, f"{short}_{channel}")]
        assert sent == counters(golden.readings[1:], channel)
        assert sent == sorted(sent, key=lambda one: one[1])
    btmon = [energy for request in golden.requests for _, energy in energies(request, f"{short}_ch1")]
    assert btmon != sorted(btmon)


@pytest.mark.parametrize("polarity", ["btmon", "brultech"])
def test_what_generates_is_counted_the_other_way(server: Recorder, tmp_path: Path, polarity: str) -> None:
    """`direction = "export"` takes the counter of what was generated, whatever sign the site has."""
    golden = scenario("bidgely", TYPICAL[0])
    text = f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ ch2 = {{ type = 1, direction = "export" }} }}\n'
    deliver(configured(tmp_path, f'{text}polarity = "{polarity}"\n'), entries(golden), tmp_path)
    sent = [one for request in server.requests for one in energies(request, "XXX345_ch2")]
    assert sent == counters(golden.readings[1:], "ch2", exported=True)


def test_watts_are_net_where_btmon_added_both_directions(server: Recorder, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W."""
    golden = scenario("bidgely", TYPICAL[0])
    run(configured(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    path = ".//meter[@id='XXX345_ch2']//stream[@id='InstantaneousDemand']/data"
    ours, btmon = (
        [datum.get("value") for request in requests for datum in request.xml.iterfind(path)]
        for requests in (server.requests, golden.requests)
    )
    assert [(one, other) for one, other in zip(ours, btmon, strict=True) if one != other] == [
        ("970.222222", "1706.000000"),
        ("-1746.545455", "1911.090909"),
        ("0.000000", "1400.200000"),
    ]


def test_a_description_may_hold_anything(server: Recorder, tmp_path: Path) -> None:
    """QUIRKS E7: btmon sent quotes and ampersands as they are, which is no XML; without any, the id is shown."""
    told = 'Mum & "Dad" <\u0001é>'
    meters = f"map = {{ ch1 = {{ description = {json.dumps(told)} }}, ch2 = {{}} }}"
    text = f'[sink.bidgely]\nurl = "{server.url}/up"\n{meters}\n'
    run(configured(tmp_path, text).instance, scenario("bidgely", TYPICAL[0]).batches())
    sent = server.requests[0].xml.iter("meter")
    assert [(meter.get("id"), meter.get("description"), meter.get("type")) for meter in sent] == [
        ("XXX345_ch1", 'Mum & "Dad" <é>', "10"),
        ("XXX345_ch2", "XXX345_ch2", "10"),
    ]


def test_nothing_is_sent_of_channels_that_no_meter_has(server: Recorder, tmp_path: Path) -> None:
    """A channel that the meter has not is left out, and a request that would be empty is not made."""
    run(
        configured(tmp_path, f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ "312345_ch9" = {{}} }}\n').instance,
        scenario("bidgely", TYPICAL[0]).batches(),
    )
    assert server.requests == []


def test_address_and_map_are_needed(tmp_path: Path) -> None:
    """Golden `nomap` and `missing_options`: both are named at once (QUIRKS H8: btmon broke without the address)."""
    assert "No Map" in scenario("bidgely", "ecm1240bin_steady.missing_options").refusal
    with pytest.raises(ConfigurationError) as error:
        configured(tmp_path, "[sink.bidgely]\n")
    assert [problem.key for problem in error.value.problems] == ["url", "map"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, "<error>bad meter</error>"), Retry),
        (Reply(500), Retry),
        (Reply(429), Retry),
        (Reply(400, "no XML"), Reject),
        (Reply(401), Stop),
        (Reply(404), Stop),
    ],
)
def test_an_answer_that_is_no_success_is_understood(
    server: Recorder, tmp_path: Path, reply: Reply, error: type[Exception]
) -> None:
    """QUIRKS E2: btmon took whatever came for success; an error in an answer of 200 is one."""
    server.answer = reply
    golden = scenario("bidgely", TYPICAL[0])
    with pytest.raises(error):
        run(configured(tmp_path, table(server.url, golden.options)).instance, golden.batches())


def test_requests_are_a_minute_apart_also_after_an_outage(server: Recorder, tmp_path: Path) -> None:
    """A week's readings go in requests of 200 readings at most, one a minute, each reading once and in order."""
    clock, at = Clock(), list[float]()

    def answer(_request: Request) -> Reply:
        at.append(clock())
        return Reply()

    server.answer = answer
    sink = configured(tmp_path, f'[sink.bidgely]\nurl = "{server.url}/up"\nmap = {{ ch1 = {{}} }}\n')
    deliver(sink, made(7 * 86_400, every=60), tmp_path, clock)
    sent = [[time for time, _ in energies(request, "XXX345_ch1")] for request in server.requests]
    times = [time for some in sent for time in some]
    assert (len(times), times) == (10_080, sorted(set(times)))
    assert max(map(len, sent)) <= 200
    assert min(later - earlier for earlier, later in pairwise(at)) >= 60


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options", "nomap")
    assert {name for name in names("bidgely") if not name.endswith(elsewhere)} == set(TYPICAL)
