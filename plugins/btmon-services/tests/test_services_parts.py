# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink with several accounts or streams is split: what one is refused, or has to wait for, is its own."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.btmon_requests import scenario
from helpers.configured_sink import deliver_entries, sink_from_toml, without_waits
from helpers.journal_entries import ecm1240_entries
from helpers.plugin_calls import make_context

from btcore import Batch, Reject, Retry, Sample, Stop
from btcore.testing import HostedService, Reply, Request
from btmon_services.channel_checker import MAX_WARNINGS

pytestmark = pytest.mark.servers

THINGSPEAK = """[sink.things]
use = "thingspeak"
url = "URL"
tokens = { "312345" = "KEY1", "399999" = "KEY2", "400000" = "KEY3" }
channels = { "399999" = "7" }
fields = { "312345_ch1" = 1, "aux1" = 2 }
batch_size = 100
"""
WATTZON = """[sink.wattzon]
url = "URL"
api_key = "KEY"
user = "someone"
password = "secret"
map = { "312345_ch1" = "kitchen", "312345_aux1" = "boiler", ch2 = "attic" }
"""
OK = Reply(200, '{"status": "ok"}')


@pytest.fixture
def sample() -> Sample:
    """Return a sample of meter 312345."""
    return scenario("thingspeak", "ecm1240bin_steady.typical").batches()[-1].samples[0]


def parts(server: HostedService, folder: Path, table: str) -> dict[str, Any]:
    """Return the parts of a sink, opened."""
    whole: Any = sink_from_toml(folder, table.replace("URL", server.url)).instance
    found: dict[str, Any] = dict(whole.split())
    for name, part in found.items():
        part.open(make_context(name))
    return found


def of(serial: str, samples: Iterable[Sample]) -> Batch:
    """Return a batch of another meter's samples."""
    return Batch((), tuple(renamed(sample, serial) for sample in samples))


def renamed(sample: Sample, serial: str) -> Sample:
    """Return the sample of a meter with another serial number."""
    older, newer = (attrs.evolve(reading, serial=serial) for reading in (sample.older, sample.newer))
    return attrs.evolve(sample, older=older, newer=newer)


# --- ThingSpeak


def test_thingspeak_has_a_part_for_each_meter_with_a_key(server: HostedService, tmp_path: Path, sample: Sample) -> None:
    """Each sends its own meter's entries with its own key, single or bulk, and nothing of the others."""
    server.answer = Reply(200, "17")
    found = parts(server, tmp_path, THINGSPEAK)
    assert list(found) == ["312345", "399999", "400000"]
    for part in found.values():
        for serial in found:
            part.process_batch(of(serial, [sample]))
    assert [request.path for request in server.requests] == ["/update", "/channels/7/bulk_update.json", "/update"]
    first, second, third = server.requests
    assert (first.headers["thingspeakapikey"], third.headers["thingspeakapikey"]) == ("KEY1", "KEY3")
    assert second.json["write_api_key"] == "KEY2"
    # fields of another meter are not those of this one, and do not become the first eight
    assert sorted(name for name in first.form if name.startswith("field")) == ["field1", "field2"]
    assert [name for name in second.json["updates"][0] if name.startswith("field")] == ["field2"]


@pytest.mark.parametrize(("reply", "error"), [(Reply(400), Reject), (Reply(429), Retry), (Reply(401), Stop)])
def test_what_one_key_meets_is_not_the_others(
    server: HostedService, tmp_path: Path, sample: Sample, reply: Reply, error: type[Exception]
) -> None:
    """A refusal, a wait or a wrong key of one meter leaves the next one's entries as they are."""
    server.answer = lambda request: reply if request.headers.get("thingspeakapikey") == "KEY1" else Reply(200, "17")
    found = parts(server, tmp_path, THINGSPEAK)
    with pytest.raises(error):
        found["312345"].process_batch(of("312345", [sample]))
    found["400000"].process_batch(of("400000", [sample]))
    assert len(server.requests) == 2


def test_a_meter_without_a_key_is_told_by_one_part_alone(
    server: HostedService, tmp_path: Path, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    """And a meter that another part sends is told by none."""
    found = parts(server, tmp_path, THINGSPEAK)
    for part in found.values():
        for serial in (*found, "500000"):
            part.process_batch(of(serial, [sample]))
    assert [text for text in caplog.messages if "has no key" in text] == [
        "tokens: meter 500000 has no key there, so nothing of it is sent; there are keys of 312345, 399999, 400000"
    ]


def test_a_dry_run_of_a_part_shows_its_own_entries(server: HostedService, tmp_path: Path, sample: Sample) -> None:
    """One line, without the key."""
    found = parts(server, tmp_path, THINGSPEAK)
    lines = [line for serial in found for line in found["399999"].preview_batch(of(serial, [sample]))]
    assert (len(lines), "bulk_update.json" in lines[0], "KEY2" in lines[0], server.requests) == (1, True, False, [])


# --- WattzOn


def test_wattzon_has_a_part_for_each_channel(server: HostedService, tmp_path: Path, sample: Sample) -> None:
    """One request for each reading; a channel of any meter is one part."""
    server.answer = OK
    found = parts(server, tmp_path, WATTZON)
    assert list(found) == ["312345_ch1", "312345_aux1", "ch2"]
    for name, part in found.items():
        part.process_batch(of("312345", [sample]))
        assert len(server.requests) == list(found).index(name) + 1
    assert [request.path.split("/")[-2] for request in server.requests] == ["kitchen", "boiler", "attic"]


def test_a_channel_that_is_refused_leaves_the_others(server: HostedService, tmp_path: Path, sample: Sample) -> None:
    """It is a channel that is unknown there, not a reading that is wrong."""
    server.answer = lambda request: Reply(400) if "kitchen" in request.path else OK
    found = parts(server, tmp_path, WATTZON)
    with pytest.raises(Reject):
        found["312345_ch1"].process_batch(of("312345", [sample]))
    found["312345_aux1"].process_batch(of("312345", [sample]))


# --- a request for each reading, and more than one in a batch

WATTVISION = """[sink.wattvision]
url = "URL"
api_id = "1"
api_key = "KEY"
sensor_id = "2"
channel = "312345_ch1"
interval = 0
batch_size = 8
"""
SINGLE: Mapping[str, tuple[str, Reply, Callable[[Request], str]]] = {
    "wattvision": (WATTVISION, Reply(), lambda request: request.json["time"]),
    "thingspeak": (
        '[sink.t]\nuse = "thingspeak"\nurl = "URL"\ntokens = { "312345" = "KEY" }\ninterval = 0\nbatch_size = 8\n',
        Reply(200, "17"),
        lambda request: request.form["created_at"].rstrip("Z"),
    ),
}


@pytest.mark.parametrize("service", SINGLE)
@pytest.mark.parametrize("failure", [Reply(500), Reply(400)])
def test_what_was_taken_of_a_batch_is_not_sent_again(
    server: HostedService, tmp_path: Path, service: str, failure: Reply
) -> None:
    """The sixth of eight fails: the first five are sent once, whether it is tried again or set aside."""
    table, ok, time = SINGLE[service]
    failed = list[str]()

    def answer(request: Request) -> Reply:
        if len(server.requests) >= 5 and (not failed or (failure.code == 400 and time(request) == failed[0])):
            failed.append(time(request))
            return failure
        return ok

    server.answer = answer
    worker = deliver_entries(
        without_waits(sink_from_toml(tmp_path, table.replace("URL", server.url))), ecm1240_entries(160), tmp_path
    )
    taken = [time(request) for request in server.taken]
    assert (worker.stop_reason, worker.dead_letters) == ("", int(failure.code == 400))
    assert (len(taken), taken) == (16 - worker.dead_letters, sorted(set(taken)))


# --- what can never be taken


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_refused_before_it_is_sent(
    server: HostedService, tmp_path: Path, sample: Sample, value: float
) -> None:
    """With its meter and its name."""
    (part, *_) = parts(server, tmp_path, THINGSPEAK).values()
    wrong = attrs.evolve(sample, calculate=lambda: {**sample.values, "ch1_w": value})
    with pytest.raises(Reject, match=f"meter 312345: ch1_w is {value}, which no service takes"):
        part.process_batch(Batch((), (wrong,)))
    assert server.requests == []


def test_a_date_in_the_future_does_not_hold_up_the_others(
    server: HostedService, tmp_path: Path, sample: Sample
) -> None:
    """An error without a code of its own is tried again, but not until the date is past."""
    server.answer = Reply(200, "<error>timestamp is in the future</error>")
    part = parts(server, tmp_path, WATTZON)["312345_ch1"]
    with pytest.raises(Reject, match="are the clocks of the meter and of this computer right"):
        part.process_batch(of("312345", [sample]))


# --- the log


def test_any_number_of_meters_that_do_not_fit_fills_no_log(
    server: HostedService, tmp_path: Path, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is told once, up to a number, whatever a source hears."""
    caplog.set_level(logging.WARNING)
    (part, *_) = parts(server, tmp_path, THINGSPEAK).values()
    for serial in range(500_000, 503_000):
        part.process_batch(of(str(serial), [sample]))
    assert len(caplog.messages) == MAX_WARNINGS + 1
