# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter: what is on its page, and for how long."""

import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.metered import batch_of, readings
from helpers.plugin_calls import make_context
from prometheus_client.parser import text_string_to_metric_families

from btcore import ChannelRef, DiagnosisContext, Retry
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btmon_prometheus.exporter import Prometheus

Open = Callable[..., Prometheus]
Page = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open exporters at any free port, and close them in the end."""
    with ExitStack() as stack:

        def make(names: dict[str, str] | None = None, **settings: Any) -> Prometheus:  # noqa: ANN401 - of any kind
            sink = Prometheus(**{"listen": "127.0.0.1:0", **settings})
            stack.callback(sink.close)
            sink.open(attrs.evolve(make_context(), channels=names or {}, polarity="brultech"))
            return sink

        yield make


def scrape(sink: Prometheus) -> Page:
    """Ask for the page; return its numbers by metric and labels."""
    assert sink._server is not None
    with urllib.request.urlopen(f"{sink._server.url}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def of(**labels: str) -> frozenset[tuple[str, str]]:
    """Return labels as the page of `scrape` has them."""
    return frozenset(labels.items())


def meters(page: Page) -> set[str]:
    """Return the meters on a page."""
    return {dict(labels)["meter"] for _, labels in page}


def test_the_last_sample_of_each_meter_is_on_the_page(opened: Open) -> None:
    """With what [channels] calls it, and numbers that Prometheus's own parser reads."""
    sink = opened({"312345_ch1": 'main "A" \\ Küche'})
    now = time.time()
    assert sink.process_batch(batch_of(readings(3, start=now - 30))) == 2
    sink.process_batch(batch_of(readings(3, start=now - 30, form="gem48ptbin", serial="01021234")))
    page = scrape(sink)
    ch1 = of(meter="312345", channel="ch1", name='main "A" \\ Küche')
    assert page["energy_imported_joules_total", ch1] == 20_000
    assert page["energy_exported_joules_total", ch1] == 5_000
    assert page["energy_power_watts", of(meter="312345", channel="ch2", name="312345_ch2")] == 0
    assert page["energy_temperature_celsius", of(meter="01021234", channel="t1", name="01021234_t1")] == 21.5
    assert page["energy_voltage_volts", of(meter="01021234")] == 120
    assert page["energy_sample_timestamp_seconds", of(meter="312345")] == pytest.approx(now - 10, abs=1)


def test_a_meter_that_is_silent_vanishes(opened: Open) -> None:
    """By the time of its last sample, not by when that was delivered: a backlog is no news."""
    sink = opened()
    now = time.time()
    sink.process_batch(batch_of(readings(3, start=now - 340, serial="312345")))
    sink.process_batch(batch_of(readings(3, start=now - 30, serial="420467")))
    assert meters(scrape(sink)) == {"420467"}
    sink.process_batch(batch_of(readings(3, start=now - 300, serial="312345")))
    assert meters(scrape(sink)) == {"312345", "420467"}


def test_an_older_sample_does_not_replace_a_newer_one(opened: Open) -> None:
    """As when a reading is delivered a second time."""
    sink = opened()
    batch = batch_of(readings(4, start=time.time() - 30))
    sink.process_batch(batch)
    shown = scrape(sink)
    sink.process_batch(batch_of(batch.readings[:3]))
    assert scrape(sink) == shown


def test_a_reading_of_which_nothing_is_wanted_does_not_count(opened: Open) -> None:
    """So other settings can have it later."""
    sink = opened(channels=[ChannelRef("420467", "ch1")])
    assert sink.process_batch(batch_of(readings(3, start=time.time() - 30))) == 0
    assert scrape(sink) == {}


def test_short_serial_numbers_are_nowhere_complete(opened: Open) -> None:
    """Neither as a meter nor in the name of a channel that has none."""
    sink = opened({"312345_ch1": "mains"}, serials="short")
    sink.process_batch(batch_of(readings(3, start=time.time() - 30)))
    page = scrape(sink)
    assert ("energy_power_watts", of(meter="XXX345", channel="ch1", name="mains")) in page
    assert ("energy_power_watts", of(meter="XXX345", channel="ch2", name="XXX345_ch2")) in page
    assert "312345" not in repr(page)


def test_a_port_that_is_taken_is_waited_for() -> None:
    """The sink tries again; doctor names other programs that have the port, and this one never."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        sink = Prometheus(listen=listen)
        with pytest.raises(Retry, match=f"cannot listen on {listen}: Address already in use"):
            sink.open(make_context())
        sink.close()
        assert list(sink.diagnose(DiagnosisContext(name="sink.prometheus", failure="cannot listen"))) == []


def test_a_dry_run_shows_the_lines_and_listens_nowhere() -> None:
    """What would be on the page."""
    sink = Prometheus()
    sink.open(make_context(dry_run=True))
    lines = list(sink.preview_batch(batch_of(readings(2))))
    assert 'energy_power_watts{meter="312345",channel="aux1",name="312345_aux1"} 200' in lines
    assert sink._server is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('listen = "9465"', "expected HOST:PORT"),
        ('prefix = "my-house"', "expected letters, digits and underscores"),
        ('interval = "10m"', "a meter would vanish before its next sample: expected more than interval, 600 s"),
        ('listen = "127.0.0.1:9464"', "already used by"),
    ],
)
def test_a_mistake_is_told_before_anything_is_opened(tmp_path: Path, settings: str, expected: str) -> None:
    """With what was expected."""
    site = tmp_path / "site.toml"
    head = 'state = "."\n[source.simulator]\n[metrics]\nlisten = "0.0.0.0:9464"\n'
    site.write_text(f"{head}[sink.prometheus]\n{settings}\n")
    with pytest.raises(ConfigurationError, match=expected):
        load_site(site)
