# SPDX-License-Identifier: GPL-3.0-or-later
"""A short chaos trial: what `nox -s chaos` does for ten minutes, in some seconds, with the same faults each time."""

from pathlib import Path

import pytest
from chaos.schedule import Fault
from chaos.trial import Options, run_trial
from helpers.clock_file import LIBRARY, MENDING
from helpers.needed import needs

pytestmark = [pytest.mark.servers, needs("" if LIBRARY else "apt install libfaketime: it is missing")]

SCHEDULE = (
    Fault(0.6, "lost-answers", 1.0, whose="influxdb"),
    Fault(0.6, "locked", 1.0, whose="samples"),
    Fault(0.8, "kill"),
    Fault(0.9, "errors", 1.0, whose="pvoutput"),
    Fault(1.0, "restart-meter", what="1"),
    Fault(1.1, "down", 0.5, whose="emoncms"),
    Fault(1.2, "clock", what="-3600"),
    Fault(1.3, "kill"),
)


def test_every_packet_and_every_watt_second_is_accounted_for() -> None:
    """Kills, a lost answer, a locked file, a clock set back and a meter's restart: nothing lost, twice or invented."""
    said: list[str] = []
    options = Options(seed=11, seconds=2.0, meters=3, rate=10.0, with_mariadb=False, with_small_disk=False)
    account = run_trial(options, SCHEDULE, said.append)
    assert account.wrong == [], "\n".join(account.lines)
    assert len(said) == 4  # what is done to a sink is not said


FAILING = (Fault(0.0, "errors", 4.0, whose="influxdb"), Fault(3.0, "kill"))

DROPPED_BATCH = """
from btcore.sql.writer import SqlWriter

store = SqlWriter.process_batch
calls = []


def process_batch(self, batch):
    calls.append(batch)
    return None if len(calls) % 5 == 0 else store(self, batch)


SqlWriter.process_batch = process_batch
"""

EARLY_CHECKPOINT = """
from btcore.sinks.results import BatchResult
from btcore.sinks.worker import SinkWorker

attempt = SinkWorker._attempt


def early(self, batch):
    try:
        return attempt(self, batch)
    except Exception:
        return BatchResult.all(batch)


SinkWorker._attempt = early
"""


@pytest.mark.parametrize("mutant", [DROPPED_BATCH, EARLY_CHECKPOINT], ids=["dropped batch", "early checkpoint"])
def test_a_program_that_loses_readings_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str) -> None:
    """A program in which a sink drops batches, or a checkpoint moves too early, does not come through."""
    mending = (MENDING / "sitecustomize.py").read_text()
    (tmp_path / "sitecustomize.py").write_text(mending + mutant)  # Python imports it before the program
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = Options(seed=12, seconds=1.0, meters=2, rate=10.0, with_mariadb=False, with_small_disk=False)
    account = run_trial(options, FAILING, lambda _line: None)
    assert any("readings are missing" in one for one in account.wrong), account
