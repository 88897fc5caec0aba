# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Prometheus and VictoriaMetrics: scraped, written to, killed in the middle, and asked for what they have."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from helpers.metered import START, batch_of, readings
from helpers.needed import needs
from helpers.plugin_calls import make_context
from servers.prometheus import (
    MISSING_PROMETHEUS,
    MISSING_VICTORIA,
    MetricsServer,
    Prometheus,
    VictoriaMetrics,
)

from btcore import FORMATS, Batch, DiagnosisContext, Reject, Stop
from btcore.testing import BtcoreProcess, free_port, wait_for
from btmon_prometheus.remote_write import PrometheusRemoteWrite
from btmon_prometheus.series import METRICS

pytestmark = [
    pytest.mark.servers,
    needs(MISSING_PROMETHEUS or MISSING_VICTORIA),
]

SERVERS = {"prometheus": Prometheus, "victoria-metrics": VictoriaMetrics}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[MetricsServer]:
    """Run each of the servers."""
    with SERVERS[request.param]() as running:
        yield running


SITE = """
state = "state"
[source.simulator]
format = "gem48ptbin"
serial = "01021234"
interval = "1s"
[sink.prometheus]
listen = "127.0.0.1:{port}"
[channels]
"01021234_ch1" = "solar"
"""


def test_prometheus_scrapes_and_answers_for_each_channel(tmp_path: Path) -> None:
    """Every channel of a GEM that runs: its power, and its energy in each direction; nothing once it is gone."""
    port = free_port()
    form = FORMATS["gem48ptbin"]
    with Prometheus(scrape=f"127.0.0.1:{port}") as server, BtcoreProcess(tmp_path, SITE.format(port=port)) as btcore:
        wait_for(lambda: server.query("energy_power_watts"), "a scrape")
        shown = [channel.name for channel in form.channels[:32]]
        for metric in ("power_watts", "imported_joules_total", "exported_joules_total", "current_amperes"):
            found = {one["metric"]["channel"] for one in server.query(f'energy_{metric}{{meter="01021234"}}')}
            assert found >= set(shown)
        (solar,) = server.query('energy_power_watts{name="solar"}')
        assert solar["metric"]["channel"] == "ch1"
        wait_for(lambda: server.query("rate(energy_imported_joules_total[10s]) > 0"), "power of two scrapes")
        assert server.query("energy_voltage_volts") != []
        assert server.query("up == 1") != []
        assert btcore.stop() == 0, btcore.log
        wait_for(lambda: not server.query("energy_power_watts"), "the meter to vanish")


def deliver(server: MetricsServer, *batches: Batch, **settings: str) -> None:
    """Deliver batches as a program that has just been started does."""
    sink = PrometheusRemoteWrite(url=server.write_url, **settings)  # type: ignore[arg-type]
    sink.open(attrs.evolve(make_context(), polarity="brultech"))
    try:
        for batch in batches:
            sink.process_batch(batch)
    finally:
        sink.close()


def seconds_of(server: MetricsServer, metric: str, count: int, pace: int = 10) -> list[int]:
    """Return when a metric has samples, in paces since START; flushes a server that gathers before it shows."""
    if isinstance(server, VictoriaMetrics):
        server.flush()
    (samples,) = server.samples(f'{metric}{{channel="ch1"}}', START, START + count * pace).values()
    return [(time // 1000 - START) // pace for time, _ in samples]


def test_a_back_fill_of_100_000_numbers_arrives_each_with_its_time(server: MetricsServer) -> None:
    """800 samples of a GEM, 500 in a request: all numbers, at the times and with the values that were measured."""
    made = readings(801, form="gem48ptbin")
    deliver(server, batch_of(made[:501]), batch_of(made[500:]))
    assert seconds_of(server, "energy_power_watts", 801) == list(range(1, 801))
    (joules,) = server.samples('energy_imported_joules_total{channel="ch1"}', START, START + 8010).values()
    assert joules == [((START + 10 * at) * 1000, 12_500.0 * at - 2500 * at) for at in range(1, 801)]
    counts = [
        server.query(f"sum(count_over_time(energy_{metric.name}[8020s]))", START + 8015)
        for metric in METRICS
        if metric.name != "sensor"  # a GEM has none
    ]
    assert sum(float(found["value"][1]) for (found,) in counts) == 108_000


def test_what_is_sent_again_is_there_once(server: MetricsServer) -> None:
    """After a start the receiver is asked: neither is a sample stored twice, nor refused as out of order."""
    batch = batch_of(readings(50))
    deliver(server, batch)
    if isinstance(server, VictoriaMetrics):
        server.flush()
    deliver(server, batch, batch_of(readings(60)))
    assert seconds_of(server, "energy_power_watts", 60) == list(range(1, 60))


RECORDED = """
state = "state"
[source.simulator]
format = "ecm1240bin"
serial = "312345"
start = "{start}"
packets = 400
pace = "fast"
max_packets_per_second = 0
[sink.history]
use = "prometheus-remote-write"
url = "{url}"
batch_size = 5
flush_interval = 0
min_backoff = "50ms"
max_backoff = "200ms"
"""


def test_a_receiver_that_ends_in_the_middle_has_every_sample_once(server: MetricsServer, tmp_path: Path) -> None:
    """It is started again, and so is the program, which was killed: in the end each sample is there, and none twice.

    Prometheus is killed. VictoriaMetrics is stopped, as it keeps nothing on its disk for some seconds.
    """
    start = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(START))
    site = RECORDED.format(start=start, url=server.write_url)

    def stored() -> int:
        found = server.query(f'count_over_time(energy_voltage_volts{{meter="312345"}}[{4010}s])', START + 4005)
        return int(found[0]["value"][1]) if found else 0

    with BtcoreProcess(tmp_path, site):
        wait_for(lambda: stored() > 50, "some samples")
        server.stop() if isinstance(server, VictoriaMetrics) else server.kill()
    server.start()
    with BtcoreProcess(tmp_path, site, "--once") as btcore:
        assert btcore.finish() == 0, btcore.log
    if isinstance(server, VictoriaMetrics):
        server.flush()
    assert stored() == 399
    assert seconds_of(server, "energy_power_watts", 400) == list(range(1, 400))


def test_what_a_receiver_has_lost_is_sent_by_replay(tmp_path: Path) -> None:
    """VictoriaMetrics that is killed loses what is not on its disk; `btcore replay --gaps` sends that and no more."""
    start = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(START))
    with VictoriaMetrics() as server:
        site = RECORDED.format(start=start, url=server.write_url).replace("batch_size = 5\n", "")
        with BtcoreProcess(tmp_path, site, "--once") as btcore:
            assert btcore.finish() == 0, btcore.log
        server.kill()
        server.start()
        deliver(server, batch_of(readings(3)))
        server.flush()
        replay = [sys.executable, "-m", "btcore", "replay", "history", "--gaps"]
        done = subprocess.run(replay, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert seconds_of(server, "energy_power_watts", 400) == list(range(1, 400))


def test_prometheus_refuses_what_is_older_than_it_has() -> None:
    """Such samples are rejected, with the setting that would take them; nothing else of the batch is lost."""
    with Prometheus() as server:
        deliver(server, batch_of(readings(3, start=START + 600)))
        with pytest.raises(Reject, match=r"out of order sample.*out_of_order_time_window"):
            deliver(server, batch_of(readings(3)))


def test_prometheus_takes_them_where_it_is_set_to() -> None:
    """With out_of_order_time_window a gap is filled behind newer samples."""
    with Prometheus(out_of_order="1d") as server:
        made = readings(30)
        deliver(server, batch_of(made[20:]))
        deliver(server, batch_of(made[:21]))
        assert seconds_of(server, "energy_power_watts", 30) == list(range(1, 30))


def test_a_prometheus_that_takes_no_samples_is_reported() -> None:
    """The sink stops, and the message has the option that is missing; doctor says the same."""
    with Prometheus(receiver=False) as server:
        with pytest.raises(Stop, match=r"--web[.]enable-remote-write-receiver"):
            deliver(server, batch_of(readings(3)))
        sink = PrometheusRemoteWrite(url=server.write_url)
        assert [one.code for one in sink.diagnose(DiagnosisContext(name="sink.history"))] == ["credentials"]


def test_doctor_is_content_with_a_server_that_takes_samples(server: MetricsServer) -> None:
    """Both take a request without any."""
    assert list(PrometheusRemoteWrite(url=server.write_url).diagnose(DiagnosisContext(name="sink.history"))) == []
