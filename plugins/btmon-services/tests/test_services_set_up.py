# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings are to blame for: a refusal stops the sink, names the setting and costs nothing; a name is told."""

import logging
from pathlib import Path

import attrs
import pytest
from helpers.btmon_requests import scenario
from helpers.configured_sink import deliver_entries, sink_from_toml, without_waits
from helpers.hosted_services import SERVICES, service_sink
from helpers.journal_entries import ecm1240_entries, entries_of

from btcore import FORMATS, pack
from btcore.journal import Entry
from btcore.testing import HostedService, Reply
from btcore.web import Answer
from btmon_services.service import SETTING

pytestmark = pytest.mark.servers

ACCOUNTS = {
    "bidgely": "`url`, which is your account's address, and `map`",
    "emoncms": "`token`, which must be the write key, and `node`",
    "enersave": "`token` and `map`",
    "eragy": "`gateway_id` and `token`",
    "peoplepower": "`hub_id`, `token` and the ids in `map`",
    "plotwatt": "`api_key` and the numbers in `map`",
    "smartenergygroups": "`token`",
    "thingspeak": "`tokens` and `channels`",
    "wattvision": "`sensor_id`, `api_id` and `api_key`",
    "wattzon": "`api_key`, `user` and the names in `map`",
    "xively": "`feed` and `token`",
}


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    """Go through the services."""
    return str(request.param)


def packets(name: str) -> list[Entry]:
    """Return the packets of a service's recording."""
    return list(entries_of(scenario(SERVICES[name].btmon, "ecm1240bin_steady.typical").readings))


# --- refusals


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(400, "Unknown sensor"),
        Reply(400, '{"error": "channel 7 does not exist"}'),
        Reply(401, "no"),
        Reply(403, "forbidden"),
    ],
)
def test_a_refusal_that_the_settings_cause_costs_nothing(
    server: HostedService, tmp_path: Path, name: str, refusal: Reply
) -> None:
    """After one request the sink stops, with its settings named; once they are mended, all that waited is sent."""
    to = without_waits(service_sink(name, server, tmp_path))
    server.answer = refusal
    worker = deliver_entries(to, packets(name), tmp_path)
    # the devices of People Power go first: whether those are taken does not matter
    assert (worker.dead_letters, len(server.requests)) == (0, 2 if (name, refusal.code) == ("peoplepower", 400) else 1)
    assert worker.stop_reason.endswith(f"; check {ACCOUNTS[name]}")
    server.answer = SERVICES[name].taken
    server.requests.clear()
    assert deliver_entries(without_waits(service_sink(name, server, tmp_path)), [], tmp_path).dead_letters == 0
    times = {time for request in server.requests for time in SERVICES[name].times(request)}
    assert len(times) == len(packets(name)) - 1


@pytest.mark.parametrize("code", [404, 405])
def test_a_wrong_address_names_it_first(server: HostedService, tmp_path: Path, name: str, code: int) -> None:
    """There may be no such page, or none of that account."""
    to = without_waits(service_sink(name, server, tmp_path))
    server.answer = Reply(code, "<html>no such page</html>")
    worker = deliver_entries(to, packets(name), tmp_path)
    assert worker.dead_letters == 0
    named = {"xively": "`feed`", "thingspeak": "the Channel ID in `channels`"} if code == 404 else {}
    assert f"; check {named.get(name, '`url`')}" in worker.stop_reason


@pytest.mark.parametrize(
    "text",
    [
        "Invalid API key",
        "invalid write key given",
        "Unknown meter 1002",
        "no such power meter",
        "unrecognised hub",
        "unauthorized token",
        "sensor_id: not found",
        "Node name is invalid",
        "device 9990c1 is not registered",
        "the account doesn't exist",
        "User unknown",
        "Gateway 399999 not authorized",
    ],
)
def test_words_about_whose_readings_they_are(text: str) -> None:
    """They are about the account and its parts."""
    assert SETTING.fits(Answer(400, text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Format error, json value is not numeric",
        "Bad Request",
        "invalid timestamp",
        "Invalid meter reading",
        "the sensor value is not a number",
        "the time of the feed is in the future",
        "unknown error",
        "field3 is not valid UTF-8",
        "no XML",
    ],
)
def test_words_about_a_reading(text: str) -> None:
    """What is wrong with one says nothing of the others."""
    assert not SETTING.fits(Answer(400, text))


def test_a_bad_reading_is_still_set_aside_by_itself(server: HostedService, tmp_path: Path) -> None:
    """One refusal of a reading among good ones stops nothing."""
    to = service_sink("emoncms", server, tmp_path)
    taken, refused = SERVICES["emoncms"].taken, Reply(200, '{"success": false, "message": "Format error, bad value"}')
    bad = f"[{int(packets('emoncms')[3].key / 1e6)},"
    server.answer = lambda request: refused if bad in request.form["data"] else taken
    worker = deliver_entries(to, packets("emoncms"), tmp_path)
    assert (worker.stop_reason, worker.dead_letters) == ("", 1)


# --- names


@pytest.mark.parametrize(
    ("service", "setting"),
    [
        ("bidgely", "map"),
        ("enersave", "map"),
        ("peoplepower", "map"),
        ("plotwatt", "map"),
        ("smartenergygroups", "map"),
        ("wattzon", "map"),
        ("wattvision", "channel"),
    ],
)
def test_a_channel_that_a_meter_has_not_is_told_with_what_it_has(
    server: HostedService, tmp_path: Path, service: str, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, by the setting that names it."""
    caplog.set_level(logging.WARNING)
    mistyped = SERVICES[service].table.replace("{ ch1 =", '{ "312345_ch9" =').replace("312345_ch1", "312345_ch9")
    deliver_entries(
        sink_from_toml(tmp_path, f"[sink.{service}]\n{mistyped.replace('URL', server.url)}"),
        ecm1240_entries(60),
        tmp_path,
    )
    target = [text for text in caplog.messages if "ch9" in text]
    assert target == [f"{setting}: meter 312345 has no ch9, so nothing of it is sent; it has ch1, ch2, aux1 to aux5"]


@pytest.mark.parametrize("service", ["eragy", "peoplepower", "thingspeak"])
def test_so_is_one_in_a_list_or_a_table_of_fields(
    server: HostedService, tmp_path: Path, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a setting names channels."""
    caplog.set_level(logging.WARNING)
    table = SERVICES[service].table
    more = 'fields = { "312345_ch9" = 1 }\n' if service == "thingspeak" else 'generation = ["312345_ch9"]\n'
    if service == "peoplepower":
        table = table.replace("{ ch1 =", '{ ch9 = "e", ch1 =')
    text = f"[sink.{service}]\n{table.replace('URL', server.url)}{more}"
    server.answer = SERVICES[service].taken
    deliver_entries(sink_from_toml(tmp_path, text), ecm1240_entries(60), tmp_path)
    key = more.partition(" ")[0]
    assert f"{key}: meter 312345 has no ch9, so nothing of it is sent; it has ch1, ch2, aux1 to aux5" in caplog.messages


def test_a_channel_of_any_meter_is_told_when_none_has_it(
    server: HostedService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After ten minutes, or at the end: another meter that has it may be late. Here the ECM has no ch9, the GEM has."""
    caplog.set_level(logging.WARNING)
    lines = SERVICES["plotwatt"].table.replace("URL", server.url).replace('ch1 = "1000"', 'ch9 = "1000", ch48 = "1001"')
    gem = [attrs.evolve(one, format="gem48pbin", serial="01000777", raw=gem_packet(one)) for one in ecm1240_entries(60)]
    deliver_entries(sink_from_toml(tmp_path, f"[sink.plotwatt]\n{lines}"), [*ecm1240_entries(900), *gem], tmp_path)
    assert caplog.messages == [
        "map: no meter heard so far has ch9, so nothing of it is sent; heard: 312345",
        "map: no meter heard so far has ch48, so nothing of it is sent; heard: 312345",
    ]
    caplog.clear()
    (tmp_path / "other").mkdir()
    deliver_entries(
        sink_from_toml(tmp_path / "other", f"[sink.plotwatt]\n{lines}"),
        [*ecm1240_entries(300), *gem],
        tmp_path / "other",
    )
    assert caplog.messages == []


def gem_packet(like: Entry) -> bytes:
    """Make the packet of a GEM that has counted as much."""
    old = FORMATS[like.format]
    values = dict(zip(old.labels, old.numbers(like.raw), strict=True))
    return pack("gem48pbin", "01000777", {"secs": values["secs"] or 0, "ch9_aws": values["ch1_aws"] or 0})


# --- directions


@pytest.mark.parametrize(
    ("service", "hint"),
    [
        ("bidgely", 'if that is what it measures there, write direction = "export" for it in map'),
        ("enersave", 'if that is what it measures there, write direction = "export" for it in map'),
        ("eragy", "if it generates, name it in generation, else leave it out there"),
        ("peoplepower", "if it generates, name it in generation, else leave it out there"),
        ("wattvision", 'if that is what it measures, write direction = "export"'),
    ],
)
def test_a_stream_that_stands_still_while_power_flows_the_other_way_is_told(
    server: HostedService, tmp_path: Path, service: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Panels that nobody said are panels: once, with what to write."""
    caplog.set_level(logging.WARNING)
    deliver_entries(
        without_waits(service_sink(service, server, tmp_path)), list(map(turned, ecm1240_entries(60))), tmp_path
    )
    target = [text for text in caplog.messages if "flow as" in text]
    assert target == [f"on 312345_ch1 1,500 W flow as export now and 0 W as import, and import is sent; {hint}"]


def turned(entry: Entry) -> Entry:
    """Return a packet of the same meter with its clamp the other way round."""
    form = FORMATS[entry.format]
    values = dict(zip(form.labels, form.numbers(entry.raw), strict=True))
    numbers = {label: value for label, value in values.items() if value and label != "flag"}
    return attrs.evolve(entry, raw=pack(entry.format, entry.serial, {**numbers, "ch1_pws": values["ch1_aws"] or 0}))
