# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon 3.4.0 sent to PVOutput, request by request, and where this plugin differs on purpose."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from helpers.folders import GOLDEN
from servers.pvoutput import PVOutputServer

from btcore import FORMATS, Batch, ChannelRef, Number, Reading, Reject, Retry, Sample, Secret
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers

MakeSink = Callable[..., PVOutput]
FILES = sorted((GOLDEN / "services" / "pvo").glob("*.json"))
PASSES = ((0, 4), (4, 7))
"""The readings that each of btmon's two passes spans: the one that ended the pass before, and its last."""


class Golden:
    """One recorded scenario."""

    def __init__(self, name: str) -> None:
        """Read it, and the packets that it was recorded from."""
        self.scenario = json.loads((GOLDEN / "services" / "pvo" / f"{name}.json").read_text())
        stream = self.scenario["input"]["stream"]
        self.packets = [p["compiled"] for p in json.loads(self._values(stream))["packets"]]
        self._described = json.loads((GOLDEN / "streams" / f"{stream}.json").read_text())
        self._bytes = (GOLDEN / "streams" / f"{stream}.bin").read_bytes()
        self.options: dict[str, str] = self.scenario["options"]

    @staticmethod
    def _values(stream: str) -> str:
        return (GOLDEN / "values" / f"{stream}.default.json").read_text()

    def settings(self, server: PVOutputServer) -> dict[str, Any]:
        """Return btmon's options as settings of the sink; its polarity and directions were btmon's."""
        refs = {name: _ref(self.options.get(f"pvo_{name}_channel", "")) for name in ("generation", "consumption")}
        return refs | {
            "temperature": _ref(self.options.get("pvo_temperature_channel", "")),
            "api_key": Secret(self.options["pvo_api_key"]),
            "system_id": self.options["pvo_system_id"],
            "url": self.options["pvo_url"].replace("http://{server}", server.url),
            "zone": self.scenario["tz"],
            "polarity": "btmon",
            "generation_direction": "export",
            "consumption_direction": "import",
        }

    def batch(self, which: int) -> Batch:
        """Return what the core delivers for one pass: one sample over its interval."""
        older, newer = (self._reading(index) for index in PASSES[which])
        return Batch(samples=(Sample(older, newer, 0, reset=False, calculate=lambda: _calculated(older, newer)),))

    def _reading(self, index: int) -> Reading:
        packet = self._described["packets"][index]
        raw = self._bytes[packet["offset"] : packet["offset"] + packet["length"]]
        time = datetime.fromtimestamp(packet["receive_time"], UTC)
        return Reading(time, FORMATS[self._described["format"]], self.packets[index]["serial"], raw)

    def requests(self) -> list[dict[str, Any]]:
        """Return what btmon sent, one request a pass."""
        return [request for one in self.scenario["passes"] for b in one["batches"] for request in b["requests"]]


def _ref(text: str) -> ChannelRef | None:
    serial, _, label = text.rpartition("_")
    return ChannelRef(serial, label) if text else None


def _calculated(older: Reading, newer: Reading) -> dict[str, Number]:
    """Power and energy in btmon's polarity: positive is what the polarized counter counts."""
    values: dict[str, Number] = {}
    seconds = newer.seconds - older.seconds
    for channel in newer.format.channels:
        if channel.polarized is None:
            continue
        before, after = (
            (r.get(channel.polarized) or 0, (r.get(channel.absolute) or 0) - (r.get(channel.polarized) or 0))
            for r in (older, newer)
        )
        for sign, first, last in zip("pn", before, after, strict=True):
            values[f"{channel.name}_{sign}w"] = (last - first) / seconds
            values[f"{channel.name}_{sign}wh_total"] = last / 3600
    return values


@pytest.fixture
def golden_server() -> Iterator[PVOutputServer]:
    """Run a PVOutput that knows the recordings' key and system, at the time of their second pass."""
    with PVOutputServer(clock=lambda: 1_700_003_670.0, key="APIKEY", system="5678") as running:
        yield running


def sent(golden: Golden, server: PVOutputServer, make_sink: MakeSink) -> list[dict[str, str]]:
    """Deliver both passes of a scenario; return the forms that the server was sent."""
    server.zone = ZoneInfo(golden.scenario["tz"])
    sink = make_sink(**golden.settings(server))
    for which in range(len(PASSES)):
        sink.process_batch(golden.batch(which))
    return [dict(request.form) for request in server.requests]


TYPICAL = [
    "ecm1240bin_steady.typical",
    "gem48ptbin_steady.typical",
    "gem48ptbin_steady.consumption_only",
    "gem48ptbin_steady.plain_channels",
    "gem48ptbin_steady.utc",
]


@pytest.fixture(params=TYPICAL)
def golden(request: pytest.FixtureRequest) -> Golden:
    """Go through the scenarios in which btmon sent something and was answered well."""
    return Golden(request.param)


def test_every_recording_is_looked_at() -> None:
    """No recorded scenario is forgotten by this module."""
    text = Path(__file__).read_text()
    assert [file.stem for file in FILES if file.stem not in text] == []


def test_requests_go_to_the_same_page_with_the_same_headers(
    golden: Golden, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """One POST a pass, as btmon's: path, content type, and who it is from."""
    sent(golden, golden_server, make_sink)
    theirs = golden.requests()
    assert len(golden_server.requests) == len(theirs)
    for ours, their in zip(golden_server.requests, theirs, strict=True):
        assert ours.path == their["target"]
        headers = {name.lower(): value for name, value in their["headers"]}
        for name in ("x-pvoutput-systemid", "x-pvoutput-apikey", "content-type"):
            assert ours.headers[name] == headers[name]


def test_the_same_fields_are_sent_for_the_same_day(
    golden: Golden, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """Neither more nor fewer fields; the day, the flag c1, temperature and voltage are btmon's."""
    for ours, their in zip(sent(golden, golden_server, make_sink), golden.requests(), strict=True):
        theirs = dict(parse_qsl(their["body"]))
        assert set(ours) == set(theirs)
        same = [name for name in ("d", "c1") if name in theirs]
        assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
        for name in {"v5", "v6"} & set(theirs):
            assert float(ours[name]) == float(theirs[name])


def test_deviation_the_time_is_that_at_which_the_slot_ends(
    golden: Golden, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """QUIRKS E9: btmon told of the minute of its last packet (17:14); the status is of the slot that ends at 17:15."""
    for ours, their in zip(sent(golden, golden_server, make_sink), golden.requests(), strict=True):
        hour, minute = dict(parse_qsl(their["body"]))["t"].split(":")
        assert (minute, ours["t"]) == ("14", f"{hour}:15")


def test_deviation_energy_is_the_counter_of_one_direction(
    golden: Golden, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """QUIRKS A2, E9: btmon sent net Wh, which may fall, as lifetime counters; one direction's never does."""
    for (_, last), ours in zip(PASSES, sent(golden, golden_server, make_sink), strict=True):
        packet = golden.packets[last]
        if "v1" in ours:
            assert int(ours["v1"]) == round(packet["ch2_pws"] / 3600)
        assert int(ours["v3"]) == round((packet["ch1_aws"] - packet["ch1_pws"]) / 3600)


def test_deviation_power_is_the_average_over_the_slot_in_whole_watts(
    golden: Golden, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """QUIRKS A1, E9: btmon sent the last packet's power, both directions added, in fractions, a load's < 0."""
    for (first, last), ours in zip(PASSES, sent(golden, golden_server, make_sink), strict=True):
        before, after = golden.packets[first], golden.packets[last]
        seconds = after["secs"] - before["secs"]
        if "v2" in ours:
            assert int(ours["v2"]) == round((after["ch2_pws"] - before["ch2_pws"]) / seconds)
        used = [packet["ch1_aws"] - packet["ch1_pws"] for packet in (before, after)]
        assert int(ours["v4"]) == round((used[1] - used[0]) / seconds)


def test_deviation_a_sensor_that_the_meter_has_not_costs_only_itself(
    golden_server: PVOutputServer, make_sink: MakeSink, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS E9, ecm1240bin_steady.bad_temperature: btmon sent nothing at all; the rest is sent, and it is said."""
    forms = sent(Golden("ecm1240bin_steady.bad_temperature"), golden_server, make_sink)
    assert [set(form) for form in forms] == [{"d", "t", "c1", "v1", "v2", "v3", "v4", "v6"}] * 2
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "temperature: packets of meter 312345 (ecm1240bin) have no t1"
    ]


@pytest.mark.parametrize("name", ["ecm1240bin_steady.http_500", "ecm1240bin_steady.error_body"])
def test_deviation_what_failed_is_delivered_later(
    name: str, golden_server: PVOutputServer, make_sink: MakeSink
) -> None:
    """QUIRKS C5, E2: btmon lost what failed, and took an error with code 200 for success; both are seen here."""
    golden = Golden(name)
    response = golden.requests()[0]["response"]
    golden_server.fail(Reply(response["status"], response["body"]))
    sink = make_sink(**golden.settings(golden_server))
    with pytest.raises((Retry, Reject)):
        sink.process_batch(golden.batch(0))
    sink.process_batch(golden.batch(0))
    assert len(golden_server.accepted) == 1


def test_deviation_a_refused_connection_is_tried_again(golden_server: PVOutputServer, make_sink: MakeSink) -> None:
    """QUIRKS C5, ecm1240bin_steady.refused: btmon logged it and lost the data."""
    golden = Golden("ecm1240bin_steady.refused")
    sink = make_sink(**(golden.settings(golden_server) | {"url": "http://127.0.0.1:1"}))
    with pytest.raises(Retry, match="Connection refused"):
        sink.process_batch(golden.batch(0))


def test_skipping_the_upload_is_a_dry_run(golden_server: PVOutputServer, make_sink: MakeSink) -> None:
    """ecm1240bin_steady.skip_upload: nothing is sent; other than QUIRKS E4, what would be is shown, without the key."""
    golden = Golden("ecm1240bin_steady.skip_upload")
    (line,) = make_sink(**golden.settings(golden_server)).preview_batch(golden.batch(0))
    assert line.startswith(f"POST {golden_server.url}/service/r2/addstatus.jsp d=20231114&t=17:15&c1=1&v1=4166")
    assert "APIKEY" not in line
    assert golden_server.requests == []


def test_what_is_missing_is_named_all_at_once() -> None:
    """ecm1240bin_steady.missing_options: as btmon did, key and system are both named; they are required settings."""
    assert "API Key" in Golden("ecm1240bin_steady.missing_options").scenario["setup"]["stdout"]
    with pytest.raises(TypeError, match="'api_key' and 'system_id'"):
        PVOutput(generation=ChannelRef("312345", "ch2"))  # type: ignore[call-arg]


def test_deviation_a_sink_that_would_send_nothing_is_refused_at_start() -> None:
    """ecm1240bin_steady.no_channels: btmon started and never sent a thing; here the configuration has a problem."""
    assert Golden("ecm1240bin_steady.no_channels").requests() == []
    (problem,) = PVOutput(api_key=Secret("APIKEY"), system_id="5678").check()
    assert problem.message.startswith("nothing to send: give generation or consumption")
