# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a site that runs, with a silent meter, failing, stopped and slow sinks; and of the same at rest."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import METER, OTHER_METER, packet
from helpers.sites import make_sink, make_site, make_source
from prometheus_client.parser import text_string_to_metric_families

from btcore import Batch, Chunk, Retry, Stop
from btcore.config.metrics import MetricsSettings
from btcore.config.site import Site
from btcore.control.client import ask_once
from btcore.runtime.at_rest import journal_at_rest
from btcore.runtime.supervisor import Supervisor
from btcore.sinks import state
from btcore.sources import silence
from btcore.status import as_json
from btcore.status.at_rest import status_at_rest
from btcore.status.report import report
from btcore.testing import free_port, wait_for

SECRET = "hush-hush"


class Troubled:
    """A site in trouble, and its run in a thread."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.release = threading.Event()
        self.stop = threading.Event()

        def items(stop: threading.Event) -> Iterator[Chunk]:
            for n in range(6):
                yield Chunk(packet(OTHER_METER, secs=n), stream="other")
                stop.wait(0.01)
            count = 0
            while not stop.wait(0.01):
                yield Chunk(b"junk" + packet(METER, secs=count))
                count += 1

        def fail(_batch: Batch) -> None:
            raise Retry(f"the service of {SECRET} is down", after=3600)

        def refuse(_batch: Batch) -> None:
            raise Stop(f"the key {SECRET} is wrong")

        def hang(_batch: Batch) -> None:
            self.release.wait(60)

        sinks = {"down": fail, "refused": refuse, "slow": hang, "fine": lambda _batch: None}
        self.site = make_site(
            folder,
            make_source(IteratorSource(items=items)),
            *(make_sink(RecordingSink(answer=answer), name, batch_size=1) for name, answer in sinks.items()),
            metrics=MetricsSettings(f"127.0.0.1:{self.port}"),
        )
        supervisor = Supervisor(self.site, self.stop, redact=lambda text: text.replace(SECRET, "***"), patience=20)
        self.thread = threading.Thread(target=supervisor.run, daemon=True)
        self.thread.start()

    def ask(self) -> dict[str, Any]:
        """Ask it as `btcore status` does."""
        return ask_once(self.site.state, "status")

    def is_troubled(self) -> bool:
        """Whether everything has happened that is to happen."""
        if not (self.site.state / "control").exists():
            return False
        status = self.ask()["status"]
        states = {sink["name"]: sink["state"] for sink in status["sinks"]}
        silent = [meter["serial"] for meter in status["sources"][0]["meters"] if meter["silent_for"]]
        return states == STATES and silent == [OTHER_METER]

    def get(self, path: str) -> tuple[int, str]:
        """Get a page of its monitoring port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def end(self) -> None:
        """Stop the run, and wait for its end."""
        self.release.set()
        self.stop.set()
        self.thread.join(60)


STATES = {"down": "waiting", "refused": "stopped", "slow": "behind", "fine": "ok"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def troubled(folder: Path) -> Iterator[Troubled]:
    """Run a site until everything has happened."""
    patch = pytest.MonkeyPatch()
    patch.setattr(silence, "MIN_SILENCE", 0.3)
    patch.setattr(silence, "MAX_GATHER_TIME", 0.1)
    patch.setattr(state, "BEHIND_AFTER", 5.0)
    site = Troubled(folder)
    try:
        wait_for(site.is_troubled, "all troubles", 60)
        yield site
    finally:
        site.end()
        patch.undo()


def test_the_json_tells_each_state(troubled: Troubled) -> None:
    """Programs find the states, the counts and the last error of each part, by the names that are promised."""
    status = troubled.ask()["status"]
    assert (status["running"], status["ok"]) == (True, False)
    (source,) = status["sources"]
    other, meter = source["meters"]
    assert (source["name"], source["state"], source["damaged"], source["junk"] > 0) == ("panel", "ok", 0, True)
    assert (other["serial"], other["readings"], meter["serial"], meter["silent_for"]) == (OTHER_METER, 6, METER, None)
    assert (datetime.now(UTC) - datetime.fromisoformat(meter["last"])).total_seconds() < 20
    sinks = {sink["name"]: sink for sink in status["sinks"]}
    assert {name: sink["state"] for name, sink in sinks.items()} == STATES
    assert sinks["refused"]["last_error"]["text"] == "the key *** is wrong"
    assert (sinks["down"]["offset"], sinks["down"]["waiting"] > 5, sinks["down"]["dead_letters"]) == (0, True, 0)
    assert datetime.fromisoformat(sinks["down"]["next_attempt"]) > datetime.now(UTC)
    assert sinks["fine"]["delivered"] > 0
    assert status["journal"]["entries"] >= source["kept"] > 10
    assert status["journal"]["bytes"] > 0
    assert SECRET not in json.dumps(status)


def test_the_text_begins_with_what_is_wrong(troubled: Troubled) -> None:
    """The first lines name the silent meter and the sink that has stopped; then comes each part with its state."""
    lines = troubled.ask()["lines"]
    assert lines[0].startswith("btcore ")
    assert lines[1].startswith(f"! meter {OTHER_METER} silent for ")
    assert "usually every" in lines[1]
    assert lines[2].startswith("! sink.refused has stopped until a restart: the key *** is wrong (")
    assert [line.split(" ")[0] for line in lines if line.endswith("stopped")] == ["sink.refused"]
    assert any(line.startswith("sink.down (recorder): waiting; next attempt in 1 h") for line in lines) or any(
        line.startswith("sink.down (recorder): waiting; next attempt in 59 min") for line in lines
    )
    assert SECRET not in "\n".join(lines)


def test_prometheus_reads_the_metrics(troubled: Troubled) -> None:
    """Prometheus's own parser finds the same facts; a counter ends in _total."""
    code, text = troubled.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    states = {
        sample.labels["sink"]: sample.labels["state"]
        for sample in families["btcore_sink_state"].samples
        if sample.value
    }
    silent = {sample.labels["meter"]: sample.value for sample in families["btcore_meter_silent"].samples}
    assert (code, states, silent) == (200, STATES, {METER: 0.0, OTHER_METER: 1.0})
    assert {family.type for family in families.values()} == {"counter", "gauge"}
    packets = families["btcore_source_packets"]
    assert [(one.name, one.labels) for one in packets.samples] == [("btcore_source_packets_total", {"source": "panel"})]
    assert packets.samples[0].value > 10
    assert SECRET not in text


def test_the_health_check_fails_and_says_why(troubled: Troubled) -> None:
    """A container's health check gets 503 with the problems in words; another page is not there."""
    code, text = troubled.get("/health")
    assert (code, "sink.refused has stopped" in text, SECRET in text) == (503, True, False)
    assert troubled.get("/elsewhere") == (404, "expected /metrics or /health\n")


def test_at_rest_the_journal_tells_what_waits(folder: Path, troubled: Troubled) -> None:
    """When the run is over, the same command tells what waits for each sink and when each meter was heard last."""
    troubled.end()
    site: Site = troubled.site
    with journal_at_rest(site) as journal:
        status = status_at_rest(site, journal, datetime.now(UTC))
    data = as_json(status)
    assert (data["running"], [meter["serial"] for meter in data["sources"][0]["meters"]]) == (
        False,
        [METER, OTHER_METER],
    )
    sinks = {sink["name"]: sink for sink in data["sinks"]}
    entries = data["journal"]["entries"]
    assert sinks["down"]["waiting"] == sinks["refused"]["waiting"] == entries
    assert sinks["fine"]["offset"] > 10
    assert sinks["fine"]["offset"] + sinks["fine"]["waiting"] == entries
    assert {sink["state"] for sink in sinks.values()} == {"not running"}
    assert next(report(status)) == f"btcore does not run with {site.file}"
    assert not (folder / "control").exists()
