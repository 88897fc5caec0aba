# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fails to read or to write under a running journal, and an index that is cut short under it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.needed import needs
from power.recorder import MISSING, compile_recorder, environment_with

from btcore.sqlite_journal.journal import SqliteJournal

TESTS = Path(__file__).parent
LONGEST = 120

pytestmark = pytest.mark.servers  # they start processes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the journal is."""
    return tmp_path / "journal.db"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the recorder."""
    return compile_recorder(tmp_path_factory.mktemp("recorder"))


def run(name: str, file: Path, library: Path) -> dict[str, Any]:
    """Run a program whose disk fails; return what it has acknowledged and told."""
    command = [sys.executable, str(TESTS / "power" / "failing.py"), name, str(file)]
    environment = {**environment_with(library), "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keys_in(file: Path) -> list[int]:
    """Return the keys of all that a journal has."""
    journal = SqliteJournal(file)
    try:
        assert list(journal.check()) == []
        return [entry.key for entry in journal.read(0, 10_000)]
    finally:
        journal.close()


@needs(MISSING)
@pytest.mark.parametrize("name", ["write", "write-tail", "write-log", "sync", "sync-tail", "sync-log"])
def test_a_disk_that_fails_to_write_costs_nothing_that_was_acknowledged(name: str, file: Path, library: Path) -> None:
    """What is acknowledged while calls fail, and after they work again, is there once; nothing is taken for damaged."""
    told = run(name, file, library)
    there = keys_in(file)
    assert sorted({*there}) == sorted(there)
    assert {*told["kept"]} <= {*there}
    assert {*range(1, 21), *range(31, 41)} <= {*told["kept"]}  # before it failed, and after
    assert told["damages"] == []


@needs(MISSING)
@pytest.mark.parametrize("name", ["write", "sync"])
def test_what_a_failing_disk_does_not_take_is_refused(name: str, file: Path, library: Path) -> None:
    """Where neither the tail nor the log can be written, each append says so: it is tried again by who has it."""
    told = run(name, file, library)
    assert not {*range(21, 31)} & {*told["kept"]}
    assert len([error for error in told["errors"] if "cannot write to the journal" in error]) >= 10


@needs(MISSING)
def test_readings_wait_while_nothing_can_be_written(file: Path, library: Path) -> None:
    """On a disk that becomes one for reading, a source goes on; when it can be written again, all are kept in order."""
    told = run("readings-wait", file, library)
    assert told["damages"] == ["200 wait"]
    assert "cannot write to the journal" in told["errors"][0]
    assert keys_in(file) == [*range(1, 201)]


@needs(MISSING)
def test_what_a_disk_failed_to_read_once_is_saved(file: Path, library: Path) -> None:
    """A journal of which the disk fails to read a part, and can later, loses nothing: it is moved away, and saved."""
    told = run("read", file, library)
    assert keys_in(file) == told["kept"] == [*range(1, 3006)]
    assert all("0 are lost" in text or "none is lost" in text for text in told["damages"])


APPEND = """
import sys
from pathlib import Path
from btcore.journal import Entry
from btcore.sqlite_journal.journal import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]))
for key in range(1, 1_000_000):
    journal.append([Entry(key, "panel", "311111", "ecm1220bin", bytes(300))])
    print(key, flush=True)
"""


def acknowledged(program: "subprocess.Popen[str]") -> Iterator[int]:
    """Yield the keys that a program has said, until it ends."""
    assert program.stdout is not None
    for line in program.stdout:
        yield int(line)


def test_an_index_that_is_cut_short_costs_nothing_that_was_acknowledged(file: Path) -> None:
    """The index of the log cut short in place ends the program (SIGBUS); the next start has all it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", APPEND, str(file)], stdout=subprocess.PIPE, text=True) as program:
        keys = acknowledged(program)
        for _ in range(100):
            last = next(keys)
        os.truncate(f"{file}-shm", 0)
        last = max([last, *keys])
        assert program.wait(LONGEST) == -signal.SIGBUS
    assert keys_in(file)[:last] == [*range(1, last + 1)]
