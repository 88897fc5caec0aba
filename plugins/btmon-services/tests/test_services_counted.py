# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted as delivered is what was sent; and every cumulative value is the counter that goes on."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.btmon_requests import scenario
from helpers.configured_sink import sink_from_toml
from helpers.hosted_services import SERVICES, service_sink
from helpers.plugin_calls import make_context

from btcore import Batch, Number, Sample
from btcore.config.site import Sink
from btcore.testing import HostedService, Reply

pytestmark = pytest.mark.servers

GOLDEN = scenario("oem", "ecm1240bin_steady.typical")
BATCH = Batch(tuple(GOLDEN.readings[:4]), GOLDEN.batches()[0].samples[:3])
"""Four readings, of which the first has no sample."""

CUMULATIVE = ("bidgely", "emoncms", "enersave", "eragy", "peoplepower", "wattvision")


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    """Go through the services."""
    return str(request.param)


def opened(of: Sink) -> Any:  # noqa: ANN401 - the instances have many classes
    """Open a sink, and return the plugin's instance: the first of its parts, where it has some."""
    whole: Any = of.instance
    instance = next(iter(whole.split().values())) if hasattr(whole, "split") else whole
    instance.open(make_context())
    return instance


def test_what_was_sent_is_counted(server: HostedService, tmp_path: Path, name: str) -> None:
    """Each reading that ends a sample; the first one of a meter, which has none, was not sent."""
    assert (len(BATCH.readings), len(BATCH.samples)) == (4, 3)
    assert opened(service_sink(name, server, tmp_path)).process_batch(BATCH) == 3
    assert len(server.taken) >= 1


def test_what_is_not_wanted_is_not_counted(server: HostedService, tmp_path: Path, name: str) -> None:
    """A map of other meters, keys of others, or a batch of readings without samples."""
    instance = opened(service_sink(name, server, tmp_path))
    assert instance.process_batch(Batch(BATCH.readings[:1])) == 0
    elsewhere = SERVICES[name].table.replace("312345", "399999").replace("{ ch1 =", '{ "399999_ch1" =')
    if elsewhere != SERVICES[name].table:
        lines = f"[sink.{name}]\n{elsewhere.replace('URL', server.url)}"
        assert opened(sink_from_toml(tmp_path, lines)).process_batch(BATCH) == 0
        assert [request for request in server.taken if b"<add " not in request.body] == []


def test_what_is_not_known_is_not_counted(server: HostedService, tmp_path: Path) -> None:
    """Of a sample whose power is not known nothing is sent to a service that takes power alone."""
    (first, second, third) = BATCH.samples
    unknown = attrs.evolve(second, calculate=lambda: {**second.values, "ch1_w": None})
    batch = Batch(BATCH.readings, (first, unknown, third))
    assert opened(service_sink("plotwatt", server, tmp_path)).process_batch(batch) == 2
    assert opened(service_sink("wattzon", server, tmp_path)).process_batch(batch) == 2


@pytest.mark.parametrize("more", ["", 'channels = { "312345" = "7" }\n'])
def test_what_comes_again_after_a_failure_is_counted_once(server: HostedService, tmp_path: Path, more: str) -> None:
    """The first entry was taken, the second one was not: then all three are delivered."""
    instance = opened(service_sink("thingspeak", server, tmp_path, more))
    server.fail(Reply(200, "17"), Reply(500))
    for _ in range(1 if more else 2):
        try:
            counted = instance.process_batch(BATCH)
        except Exception:  # noqa: BLE001 - the failure that was asked for
            counted = None
    assert counted == 3


def test_a_reading_that_takes_the_place_of_another_of_its_second_counts_as_both(
    server: HostedService, tmp_path: Path
) -> None:
    """Two entries of one second are one, of the later reading; there is nothing of the earlier to be had later."""
    instance = opened(service_sink("thingspeak", server, tmp_path, 'channels = { "312345" = "7" }\n'))
    first, second, _ = BATCH.samples
    twin = attrs.evolve(first.newer, time=second.newer.time.replace(microsecond=1))
    same = attrs.evolve(first, newer=twin)
    assert instance.process_batch(Batch((same.newer, second.newer), (same, second))) == 2
    assert len(server.requests[0].json["updates"]) == 1


# --- cumulative values


def goes_on(sample: Sample) -> Sample:
    """Return a sample of a meter that began anew: its own counters are small, what it counted before is 7,000 kWh."""

    def values() -> dict[str, Number]:
        changed = dict(sample.values)
        for label in [label for label in changed if label.endswith("wh_total")]:
            changed[label] = 7_000_000.0 + len(label)
            changed[label.removesuffix("_total")] = 1.0
        return changed

    return attrs.evolve(sample, calculate=values)


@pytest.mark.parametrize("name", CUMULATIVE)
def test_a_cumulative_value_goes_on_where_the_meter_began_anew(
    server: HostedService, tmp_path: Path, name: str
) -> None:
    """Whatever the meter's own counter shows: a service holds a counter that falls to be an error."""
    opened(service_sink(name, server, tmp_path)).process_batch(
        Batch(BATCH.readings, tuple(map(goes_on, BATCH.samples)))
    )
    text = " ".join(request.form["data"] if name == "emoncms" else request.text for request in server.requests)
    assert text.count("70000") >= 3
    assert "1.0000" not in text


def test_emoncms_gets_each_direction_when_asked_for(server: HostedService, tmp_path: Path) -> None:
    """Net energy falls where more is exported than imported; `pwh` and `nwh` of a channel never do."""
    opened(service_sink("emoncms", server, tmp_path, "include_directions = true\n")).process_batch(BATCH)
    rows = server.requests[0].form["data"]
    for label in ("pwh", "nwh"):
        assert f'"XXX345_ch1_{label}":{round(BATCH.samples[0].values[f"ch1_{label}_total"] or 0, 2)}' in rows
    assert "aux1_pwh" not in rows
