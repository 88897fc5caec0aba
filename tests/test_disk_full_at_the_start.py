# SPDX-License-Identifier: GPL-3.0-or-later
"""A real program whose disk is full, or may only be read, as it starts: it listens, waits for room, and goes on."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.packets import packet
from helpers.small_disk import SmallDisk, small_disk

from btcore.journal import Entry
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import BtcoreProcess, wait_for

pytestmark = pytest.mark.servers

SITE = """
state = "{state}"

[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = 0

[sink.sqlite]
file = "{database}"
flush_interval = 0
"""

PACKETS = 300

SIZE = 20
"""Megabytes of the disk: with the reserve, most of it is free."""


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """Mount a small disk."""
    with small_disk(SIZE) as made:
        yield made


def site(folder: Path, disk: SmallDisk) -> str:
    """Return a configuration whose state directory is on the disk, and whose database is not."""
    return SITE.format(state=disk.path / "state", database=folder / "energy.db")


def command(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of btcore on the site of a folder."""
    whole = [sys.executable, "-m", "btcore", *words, "--config", str(folder / "site.toml")]
    return subprocess.run(whole, check=False, capture_output=True, text=True, timeout=60)


def stored(folder: Path) -> list[int]:
    """Return which packets the sink has stored, by their number; each as often as it is there."""
    return [secs for _, secs in table_rows(folder / "energy.db", "ecm1220bin_counters")]


def fill_state(disk: SmallDisk) -> None:
    """Leave a journal there that an earlier run has closed, without its reserve."""
    (disk.path / "state").mkdir(exist_ok=True)
    with closing(SqliteJournal(disk.path / "state" / "journal.db")) as journal:
        journal.append([Entry(key, "panel", "000000", "ecm1220bin", packet(secs=key)) for key in range(1, 20)])
    (disk.path / "state" / "reserve").unlink(missing_ok=True)


def waiting(folder: Path) -> int:
    """Return how many readings of the source are not in the journal yet."""
    found: int = json.loads(command(folder, "status", "--json").stdout)["sources"][0]["unwritten"]
    return found


def send_all(program: BtcoreProcess) -> None:
    """Send the packets, each once."""
    with socket.create_connection(("127.0.0.1", program.port()), timeout=5) as connection:
        connection.sendall(b"".join(packet(secs=1000 + n, energy=1000 * n) for n in range(PACKETS)))


def goes_on(folder: Path, program: BtcoreProcess) -> None:
    """See that all packets come to the sink, once, when there is room."""
    wait_for(lambda: len(stored(folder)) >= PACKETS, "all to be stored", 90)
    assert sorted(stored(folder))[-PACKETS:] == [1000 + n for n in range(PACKETS)]
    assert "is open now" in program.log
    assert json.loads(command(folder, "status", "--json").stdout)["ok"]


@pytest.mark.parametrize(("free", "has_journal"), [(0, False), (48 << 10, True)])
def test_a_run_on_a_full_disk_listens_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: SmallDisk, free: int, *, has_journal: bool
) -> None:
    """What comes in meanwhile is stored, once; the log says once what to do, and so do status, check and doctor."""
    (disk.path / "state").mkdir()
    if has_journal:
        fill_state(disk)
    disk.fill(free)
    with BtcoreProcess(tmp_path, site(tmp_path, disk)) as program:
        send_all(program)
        wait_for(lambda: waiting(tmp_path) == PACKETS, "all to wait")
        told = [line for line in program.log.splitlines() if "cannot open the journal" in line]
        assert len(told) == 1
        assert "its disk is full" in told[0]
        assert "make room on it, 1.0 MB or more" in told[0]
        found = command(tmp_path, "status")
        assert found.returncode == 1
        assert found.stdout.count("cannot open the journal") == 1
        assert "its disk is full" in command(tmp_path, "check").stderr
        assert "its disk is full" in command(tmp_path, "doctor").stdout
        disk.free()
        goes_on(tmp_path, program)
        assert program.stop() == 0
    with closing(SqliteJournal(disk.path / "state" / "journal.db")) as journal:
        assert journal.lag(0).entries == PACKETS + 19 * has_journal
        assert list(journal.check()) == []
        assert journal.damages == ()


def test_a_run_on_a_disk_that_may_only_be_read_goes_on_when_it_may_be_written(tmp_path: Path, disk: SmallDisk) -> None:
    """What comes in meanwhile is stored, and the program can be asked afterwards."""
    fill_state(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    with BtcoreProcess(tmp_path, site(tmp_path, disk)) as program:
        send_all(program)
        assert "its file system may only be read" in program.log
        assert "its file system may only be read" in command(tmp_path, "check").stderr
        assert "may only be read" in command(tmp_path, "doctor").stdout
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
        goes_on(tmp_path, program)
        assert program.stop() == 0


OPEN = """
import sys
from pathlib import Path
from btcore.errors import JournalNotReady
from btcore.journal.opening import open_journal
try:
    open_journal("sqlite", Path(sys.argv[1])).close()
except JournalNotReady as error:
    print(error)
"""


@pytest.mark.parametrize("free", [16 << 10, 64 << 10, 76 << 10, 1 << 20])
def test_a_full_disk_of_small_blocks_ends_no_program(free: int) -> None:
    """SQLite leaves holes in the index of its log there: the first to store to one is ended by a signal (SIGBUS)."""
    with small_disk(SIZE, block=1024) as disk:
        (disk.path / "state").mkdir()
        disk.fill(free)
        opening = [sys.executable, "-c", OPEN, str(disk.path / "state")]
        done = subprocess.run(opening, check=True, capture_output=True, text=True, timeout=60)
        assert ("its disk is full" in done.stdout) is (free < 1 << 20)


def test_a_stop_before_there_is_room_says_what_is_lost(tmp_path: Path, disk: SmallDisk) -> None:
    """The program ends in order, with the number."""
    (disk.path / "state").mkdir()
    disk.fill()
    with BtcoreProcess(tmp_path, site(tmp_path, disk)) as program:
        send_all(program)
        wait_for(lambda: waiting(tmp_path) == PACKETS, "all to wait")
        program.stop()
        assert f"{PACKETS} readings are lost because the program stops" in program.log
        assert "Traceback" not in program.log


def test_an_import_on_a_full_disk_ends(tmp_path: Path, disk: SmallDisk) -> None:
    """Somebody waits for the end of a run with --once: it says what to do."""
    (disk.path / "state").mkdir()
    disk.fill()
    with BtcoreProcess(tmp_path, site(tmp_path, disk), "--once") as program:
        assert program.finish() == 69
        assert "its disk is full" in program.log


def test_a_journal_in_a_place_that_is_wrong_ends_the_start(tmp_path: Path) -> None:
    """No waiting mends a directory that is none."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.db").mkdir()
    text = SITE.format(state=tmp_path / "state", database=tmp_path / "energy.db")
    with BtcoreProcess(tmp_path, text) as program:
        assert program.finish() == 69
        assert "it is a directory" in program.log
