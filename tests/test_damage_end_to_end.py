# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of a real program is damaged while it runs, and when it was killed: it goes on, and tells it."""

import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows
from helpers.journal_damage import ALL, DAMAGES, Harm, fill
from helpers.packets import packet

from btcore.journal import START
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import BtcoreProcess, free_port, wait_for
from btcore.testing.kit.waiting import in_background

pytestmark = pytest.mark.servers

SITE = """
state = "state"

[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = {port}

[sink.sqlite]
file = "energy.db"
flush_interval = 0
"""

PAUSE = 0.02
"""Seconds between two packets."""

MENDED = re.compile("made again|brought into a new one|not as")
"""What is in the line that says that a damage is mended."""

SOME = 60
"""Packets that come before the damage."""


class Meter:
    """A meter that sends packets, each once, and connects again where it is cut off. `sent` is the last."""

    def __init__(self, port: int) -> None:
        """Prepare."""
        self.sent = 0
        self._port = port
        self._over = threading.Event()

    @contextmanager
    def sending(self) -> Iterator["Meter"]:
        """Send while the block runs."""
        with in_background(self._over, self._send):
            yield self

    def _send(self) -> None:
        numbers = count(1)
        while not self._over.wait(PAUSE):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=5) as connection:
                while not self._over.wait(PAUSE):
                    number = next(numbers)
                    connection.sendall(packet(secs=number, energy=1000 * number))
                    self.sent = number


def stored(folder: Path) -> list[int]:
    """Return which packets the sink has stored, by their number; each as often as it is there."""
    return [secs for _, secs in table_rows(folder / "energy.db", "ecm1220bin_counters")]


def kept(folder: Path) -> int:
    """Return how many readings the journal has."""
    with closing(SqliteJournal(folder / JOURNAL_FILE, mends=False)) as journal:
        return journal.lag(START).entries


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory with the journal of an earlier run that was killed; its sink has had all of it."""
    folder, used = tmp_path_factory.mktemp("earlier"), tmp_path_factory.mktemp("used")
    with closing(SqliteJournal(used / "journal.db")) as journal:
        fill(journal, "sink.sqlite", ALL)
        journal.inspect()
        for name in ("journal.db", "journal.db-wal", "journal.db-tail", "journal.db-note"):
            shutil.copy(used / name, folder / name)
    return folder


@pytest.fixture
def folder(tmp_path: Path, earlier: Path) -> Path:
    """Return the folder of a site with that journal."""
    shutil.copytree(earlier, tmp_path / "state")
    return tmp_path


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.name)
def test_a_running_program_collects_on(folder: Path, harm: Harm) -> None:
    """Every packet that came in is delivered, once; the damage is told, and the journal is there after it."""
    port = free_port()
    with BtcoreProcess(folder, SITE.format(port=port)) as btcore, Meter(port).sending() as meter:
        wait_for(lambda: len(stored(folder)) >= SOME, "the first packets")
        harm.do(folder / JOURNAL_FILE)
        if harm.told_while_open:
            wait_for(lambda: harm.words_open in btcore.log, f"{harm.words_open!r} in the log")
            wait_for(lambda: MENDED.search(btcore.log), "the end of the mending")
        number = meter.sent
        wait_for(lambda: number + SOME in stored(folder), "packets after the damage")
        btcore.process.kill()
        btcore.process.wait()
        last = max(stored(folder))
        journalled = kept(folder)
        log = btcore.log
    lost = re.findall(r"(\d+) (?:is|are) lost|(\d+) readings? (?:is|are) not as", log)
    assert sorted(stored(folder)) == list(range(1, last + 1))
    assert "Traceback" not in log
    assert journalled + sum(int(number) for pair in lost for number in pair if number) >= ALL + last
    assert (folder / JOURNAL_FILE).exists()
    assert harm.told_while_open == bool(MENDED.search(log))


@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.name)
def test_a_killed_program_starts_again(folder: Path, harm: Harm) -> None:
    """It starts, tells what it found in one line, stores what comes in, and stores nothing twice."""
    port = free_port()
    with Meter(port).sending() as meter:
        with BtcoreProcess(folder, SITE.format(port=port)) as btcore:
            wait_for(lambda: len(stored(folder)) >= SOME, "the first packets")
            wait_for(lambda: '"newest": 0' not in note(folder), "the note")
        harm.do(folder / JOURNAL_FILE)
        number = meter.sent
        with BtcoreProcess(folder, SITE.format(port=port)) as btcore:
            wait_for(lambda: max(stored(folder)) > number + SOME, "packets after the damage")
            wait_for(lambda: harm.words in btcore.log, f"{harm.words!r} in the log")
            assert btcore.stop() == 0
            log = btcore.log
    found = sorted(stored(folder))
    assert found == sorted(set(found))
    assert "Traceback" not in log
    if harm.told_at_rest:
        assert harm.words in log


def note(folder: Path) -> str:
    """Return the note beside the journal; nothing while there is none."""
    path = folder / f"{JOURNAL_FILE}-note"
    return path.read_text() if path.exists() else '"newest": 0'
