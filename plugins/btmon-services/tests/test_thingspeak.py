# SPDX-License-Identifier: GPL-3.0-or-later
"""ThingSpeak: entries as the service documents them, one a request or many, within its limits."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.btmon_requests import scenario, scenario_names, toml_map
from helpers.configured_sink import deliver_entries, sink_from_toml
from helpers.journal_entries import ecm1240_entries, entries_of
from helpers.plugin_calls import make_context, preview_batches, process_batches

from btcore import Reject, Retry, Stop
from btcore.errors import ConfigurationError
from btcore.testing import Clock, HostedService, Reply, Request

pytestmark = pytest.mark.servers

TYPICAL = "ecm1240bin_steady.typical"
BULK = 'channels = { "312345" = "999990" }\n'
Entry = dict[str, str]


def table(url: str, options: Mapping[str, str], more: str = "") -> str:
    """Return the table of a sink with btmon's options."""
    fields = f"fields = {toml_map(options['ts_fields'], quote='')}\n" if "ts_fields" in options else ""
    return f'[sink.ts]\nuse = "thingspeak"\nurl = "{url}"\ntokens = {toml_map(options["ts_tokens"])}\n{fields}{more}'


def as_documented(request: Request) -> Entry:
    """Return an entry of btmon's with the names that ThingSpeak documents."""
    form = request.form
    return {"created_at": form["datetime"], **{name: text for name, text in form.items() if name.startswith("field")}}


@pytest.mark.parametrize(
    "name", [TYPICAL, "ecm1240bin_steady.nomap", "gem48ptbin_steady.typical", "gem48ptbin_steady.nomap"]
)
def test_each_entry_is_btmon_s_under_the_documented_names(server: HostedService, tmp_path: Path, name: str) -> None:
    """Differs from btmon: `created_at` for `datetime`, the key in a header, fields 1 to 8 only (QUIRKS E10)."""
    golden = scenario("thingspeak", name)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options))
    process_batches(sink.instance, golden.batches(numbers_of_btmon=True))
    expected = [
        {field: text for field, text in as_documented(request).items() if len(field) == 6 and field <= "field8"}
        | {"created_at": as_documented(request)["created_at"]}
        for request in golden.requests
    ]
    assert [request.form for request in server.requests] == expected
    assert {(r.method, r.path) for r in server.requests} == {(r.method, r.path) for r in golden.requests}
    assert {r.headers["thingspeakapikey"] for r in server.requests} == {r.form["key"] for r in golden.requests}


@pytest.mark.parametrize("name", [TYPICAL, "gem48ptbin_steady.typical"])
def test_with_the_channel_s_number_the_same_entries_go_in_one_request(
    server: HostedService, tmp_path: Path, name: str
) -> None:
    """A bulk update has the key and the entries of a whole batch, and they are those of single updates."""
    golden = scenario("thingspeak", name)
    serial = golden.options["ts_tokens"].split(",")[0]
    sink = sink_from_toml(
        tmp_path, table(server.url, golden.options, f'channels = {{ "{serial}" = 999990 }}\nbatch_size = 960\n')
    )
    instance: Any = sink.instance
    server.answer = Reply(202, '{"success":true}')
    instance.open(make_context())
    for batch in golden.batches(numbers_of_btmon=True):
        instance.process_batch(batch)
    instance.close()
    assert [(r.method, r.path) for r in server.requests] == [("POST", "/channels/999990/bulk_update.json")] * 2
    assert [r.json["write_api_key"] for r in server.requests] == ["KEY12345"] * 2
    assert [r.json["updates"] for r in server.requests] == [
        [as_documented(request) for request in some] for some in golden.passes
    ]


def test_watts_are_net_where_btmon_added_both_directions(server: HostedService, tmp_path: Path) -> None:
    """QUIRKS A1: a channel that ran both ways has 970 W net, not 1706 W."""
    golden = scenario("thingspeak", "ecm1240bin_steady.nomap")
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    watts = [request.form["field2"] for request in server.requests]
    assert watts == ["2187.70", "2301.10", "970.22", "-1746.55", "-812.70", "0.00", "0.00"]


def test_a_meter_without_a_key_is_told_once_and_not_sent(
    server: HostedService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Golden `no_token_for_device`: btmon said so for every reading."""
    golden = scenario("thingspeak", "ecm1240bin_steady.no_token_for_device")
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path
    )
    told = [text for text in caplog.messages if text.startswith("tokens: ")]
    assert (server.requests, worker.stop_reason, told) == (
        [],
        "",
        [
            "tokens: meter 312345 has no key there, so nothing of it is sent; there are keys of 999999",
        ],
    )


def test_that_not_all_channels_of_a_meter_have_a_field_is_told_once(
    server: HostedService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A GEM has 32 channels and more, a channel of ThingSpeak eight fields (QUIRKS E10)."""
    golden = scenario("thingspeak", "gem48ptbin_steady.nomap")
    deliver_entries(sink_from_toml(tmp_path, table(server.url, golden.options)), entries_of(golden.readings), tmp_path)
    assert [text for text in caplog.messages if "fields" in text] == [
        "a channel of ThingSpeak has 8 fields: name those of meter 01021234 in fields"
    ]


def test_what_is_wrong_between_settings_is_told_at_once(tmp_path: Path) -> None:
    """A field beyond 8, one given twice, a channel without key, and a number that is none."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(
            tmp_path,
            '[sink.ts]\nuse = "thingspeak"\ntokens = { "1" = "KEY" }\n'
            'fields = { "1_ch1" = 9, "1_ch2" = 2, "1_ch3" = 2 }\nchannels = { "2" = "7", "1" = "x" }\n',
        )
    assert [(problem.key, problem.message) for problem in error.value.problems] == [
        ("fields", "1_ch1: a channel of ThingSpeak has fields 1 to 8"),
        ("fields", "meter 1 has 2 channels for field 2"),
        ("channels", "meter 2 has no key in tokens"),
        ("channels", "meter 1: expected a number, the Channel ID"),
    ]


@pytest.mark.parametrize(
    ("reply", "error", "after"),
    [
        (Reply(200, "0"), Retry, 15.0),
        (Reply(429, "Too Many Requests"), Retry, 15.0),
        (Reply(429, "Too Many Requests", {"Retry-After": "40"}), Retry, 40.0),
        (Reply(402, "Payment Required"), Retry, 3600.0),
        (Reply(500, ""), Retry, None),
        (Reply(503, "", {"Retry-After": "120"}), Retry, 120.0),
        (Reply(400, "Bad Request"), Reject, None),
        (Reply(409, '{"error":{"error_code":"error_conflict"}}'), Reject, None),
        (Reply(413, "Request Too Large"), Reject, None),
        (Reply(421, "No Action Performed"), Reject, None),
        (Reply(422, "Unprocessable Entity"), Reject, None),
        (Reply(401, "Authorization Required"), Stop, None),
        (Reply(404, "Resource Not Found"), Stop, None),
        (Reply(405, "Method Not Allowed"), Stop, None),
    ],
)
def test_every_documented_failure_is_understood(
    server: HostedService, tmp_path: Path, reply: Reply, error: type[Exception], after: float | None
) -> None:
    """ThingSpeak's table of error codes, and the 0 that btmon never recognised (QUIRKS E2)."""
    golden = scenario("thingspeak", TYPICAL)
    server.answer = reply
    with pytest.raises(error) as raised:
        process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert getattr(raised.value, "after", None) == after


@pytest.mark.parametrize("reply", [Reply(200, "17"), Reply(200, '{"entry_id":17}'), Reply(202, '{"success":true}')])
def test_every_success_is_understood(server: HostedService, tmp_path: Path, reply: Reply) -> None:
    """The number of the entry, or that a bulk update was taken; 10 is a number too, though it ends in 0."""
    golden = scenario("thingspeak", TYPICAL)
    server.answer = reply
    process_batches(sink_from_toml(tmp_path, table(server.url, golden.options)).instance, golden.batches())
    assert len(server.requests) == 7


def test_an_entry_that_is_never_taken_is_set_aside_and_the_others_delivered(
    server: HostedService, tmp_path: Path
) -> None:
    """There is an entry of that second already, which ThingSpeak does not say: after 16 minutes it is given up."""
    golden = scenario("thingspeak", TYPICAL)
    taken = golden.requests[2].form["datetime"]
    server.answer = lambda request: Reply(200, "0" if request.form["created_at"] == taken else "17")
    clock = Clock()
    sink = sink_from_toml(tmp_path, table(server.url, golden.options, "interval = 0\n"))
    worker = deliver_entries(sink, entries_of(golden.readings), tmp_path, clock)
    assert (worker.stop_reason, worker.dead_letters) == ("", 1)
    assert len(server.requests) == 6 + 6
    assert 15 * (1 + 2 + 4 + 8 + 16) <= clock.now < 1000


@pytest.mark.parametrize(("more", "requests"), [("", 1008), (f"{BULK}batch_size = 960\n", 2)])
def test_a_week_s_outage_is_made_up_for_at_the_service_s_pace(
    server: HostedService, tmp_path: Path, more: str, requests: int
) -> None:
    """A reading every ten minutes; 15 s between requests; at most 960 entries in one; each once, in order."""
    golden = scenario("thingspeak", TYPICAL)
    clock, times = Clock(), list[float]()

    def answer(_request: Request) -> Reply:
        times.append(clock.now)
        return Reply(200, "17")

    server.answer = answer
    worker = deliver_entries(
        sink_from_toml(tmp_path, table(server.url, golden.options, more)),
        ecm1240_entries(7 * 86_400, interval=600),
        tmp_path,
        clock,
    )
    sent = [entry for request in server.requests for entry in _entries(request)]
    moments = [entry["created_at"] for entry in sent]
    assert (worker.stop_reason, len(server.requests), len(sent)) == ("", requests, 1008)
    assert moments == sorted(set(moments))
    assert min(later - earlier for earlier, later in pairwise(times)) >= 15
    assert max(len(_entries(request)) for request in server.requests) <= 960


def test_the_address_of_btmon_s_page_is_understood(server: HostedService, tmp_path: Path) -> None:
    """`ts_url` ended in /update: a configuration that was taken over goes to the same page."""
    golden = scenario("thingspeak", TYPICAL)
    process_batches(sink_from_toml(tmp_path, table(f"{server.url}/update", golden.options)).instance, golden.batches())
    assert {request.path for request in server.requests} == {"/update"}


def test_two_readings_of_one_second_are_one_entry_of_a_bulk_update(server: HostedService, tmp_path: Path) -> None:
    """A time can be used once in a channel: the later reading counts."""
    golden = scenario("thingspeak", TYPICAL)
    sink = sink_from_toml(tmp_path, table(server.url, golden.options, f"{BULK}batch_size = 960\ninterval = 0\n"))
    first, second, third = ecm1240_entries(60, interval=30)
    late = [first, attrs.evolve(second, key=third.key), attrs.evolve(third, key=third.key + 1000)]
    deliver_entries(sink, late, tmp_path)
    assert [len(_entries(request)) for request in server.requests] == [1]


def test_a_dry_run_shows_the_entries_and_no_key(server: HostedService, tmp_path: Path) -> None:
    """One line for each request, single or bulk."""
    golden = scenario("thingspeak", TYPICAL)
    single = sink_from_toml(tmp_path, table(server.url, golden.options))
    bulk = sink_from_toml(tmp_path, table(server.url, golden.options, BULK))
    lines = [*preview_batches(single.instance, golden.batches()), *preview_batches(bulk.instance, golden.batches())]
    assert lines[0] == f"POST {server.url}/update created_at=2023-11-14T22:13:30Z&field3=-1536.40&field8=137.00"
    assert (len(lines), [line for line in lines if "KEY12345" in line], server.requests) == (14, [], [])


def test_every_recording_is_looked_at() -> None:
    """No scenario is forgotten: those of failures are in `test_services_fail.py`, `skip_upload` is a dry run."""
    elsewhere = ("error_body", "http_500", "refused", "skip_upload", "missing_options")
    assert {name for name in scenario_names("thingspeak") if not name.endswith(elsewhere)} == {
        TYPICAL,
        "ecm1240bin_steady.nomap",
        "ecm1240bin_steady.no_token_for_device",
        "gem48ptbin_steady.nomap",
        "gem48ptbin_steady.typical",
    }


def _entries(request: Request) -> list[Entry]:
    if request.path.endswith("bulk_update.json"):
        entries: list[Entry] = request.json["updates"]
        return entries
    return [request.form]
