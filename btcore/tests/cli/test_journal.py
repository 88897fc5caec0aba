# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore journal`: the journal is checked, compacted, exported as a capture."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.database_rows import JOURNAL_FILE, table_rows

from btcore.cli import FAILING, OK, UNAVAILABLE, USAGE, main
from btcore.testing import BtcoreProcess, wait_for

SITE = """
state = "state"
[source.cap]
use = "file"
path = "cap"
[sink.db]
use = "sqlite"
file = "energy.db"
flush_interval = 0
"""
LIVE = '[source.live]\nuse = "simulator"\ninterval = "1s"\nserial = "01000777"\n'
ROWS = "gem48ptbin_counters"


def simulate(file: Path, *options: str) -> None:
    """Write a recording of one meter, ten seconds apart."""
    words = ["simulate", "--start", "2026-11-20T00:00Z", "--output", str(file), *options]
    assert main([*words, "--packets", "200"]) == OK


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the option of a site at rest whose journal has 200 readings."""
    monkeypatch.chdir(tmp_path)
    simulate(tmp_path / "cap")
    (tmp_path / "site.toml").write_text(SITE)
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    return ["--config", "site.toml"]


def test_a_journal_in_order_is_said_to_be(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A check finds nothing, for a person and as JSON."""
    assert main(["journal", "check", *config]) == OK
    assert capsys.readouterr().out == "the journal is in order\n"
    assert main(["journal", "check", "--json", *config]) == OK
    assert json.loads(capsys.readouterr().out) == {"ok": True, "faults": []}


def test_what_is_wrong_with_a_journal_is_found(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A packet that was overwritten, wrong sums, and a checkpoint of another journal: each is a line, exit code 1."""
    with closing(sqlite3.connect(JOURNAL_FILE)) as connection, connection:
        connection.execute("UPDATE entry SET raw = zeroblob(length(raw)) WHERE offset = 7")
        connection.execute("UPDATE block SET bytes = 1")
        connection.execute("UPDATE checkpoint SET offset = 9999")
    assert main(["journal", "check", *config]) == FAILING
    text = capsys.readouterr().out
    for what in (
        "the sums of 1 block are wrong",
        "the checkpoint of sink.db is after",
        "1 reading is not as it was written: the first has offset 7",
    ):
        assert what in text


def test_a_damaged_file_is_found(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that a disk has changed are found by SQLite's own check."""
    data = bytearray(JOURNAL_FILE.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 64] = bytes(range(64))
    JOURNAL_FILE.write_bytes(data)
    assert main(["journal", "check", *config]) in {FAILING, UNAVAILABLE}
    assert "damaged" in "".join(capsys.readouterr())


def test_room_is_given_back_to_the_disk(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """After compacting, the file is smaller by what was deleted, and in order."""
    with closing(sqlite3.connect(JOURNAL_FILE)) as connection, connection:
        connection.execute("CREATE TABLE ballast AS SELECT zeroblob(3000000)")
        connection.execute("DROP TABLE ballast")
    before = JOURNAL_FILE.stat().st_size
    assert main(["journal", "compact", *config]) == OK
    assert JOURNAL_FILE.stat().st_size < before - 2_900_000
    assert "the journal had 3." in capsys.readouterr().err
    assert main(["journal", "check", *config]) == OK


def test_what_is_exported_is_a_capture(config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A span of it is read by `btcore decode`, and is known where it is imported again: nothing is new."""
    span = ["--from", "2026-11-20T00:05Z", "--to", "2026-11-20T00:10Z"]
    assert main(["journal", "export", "-o", "part", *span, *config]) == OK
    assert capsys.readouterr().err == "exported 31 readings\n"
    assert (tmp_path / "part").stat().st_mode & 0o077 == 0
    assert main(["decode", "part", "--json"]) == OK
    times = [json.loads(line)["time"] for line in capsys.readouterr().out.splitlines()]
    assert (len(times), times[0], times[-1]) == (31, 1_795_133_100, 1_795_133_400)
    assert main(["import", "part", *config]) == OK
    assert capsys.readouterr().err == "part: 31 readings; 0 new, 31 already there\n"


def test_wrong_use_is_told(config: list[str]) -> None:
    """An argument or a span that is none ends with the usage."""
    for words in (["import", "cap"], ["check", "cap"], ["export", "--from", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(["journal", *words, *config])
        assert ended.value.code == USAGE


@pytest.mark.servers
def test_beside_a_running_program(config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It checks, exports and imports while meters are heard; it refuses to compact, and says what to do."""
    simulate(tmp_path / "other", "--serial", "01000999", "--seed", "2")
    with BtcoreProcess(tmp_path, SITE + LIVE) as running:
        wait_for((tmp_path / "state" / "control").exists, "the program to answer")
        capsys.readouterr()
        assert main(["journal", "check", *config]) == OK
        assert main(["import", "other", *config]) == OK
        assert "200 readings; 200 new" in capsys.readouterr().err
        wait_for(lambda: len(table_rows(tmp_path / "energy.db", f"{ROWS} WHERE serial = '01000999'")) == 200, "it")
        assert main(["journal", "export", "--meter", "01000999", *config]) == OK
        assert len(capsys.readouterr().out.splitlines()) == 200
        assert main(["journal", "compact", *config]) == UNAVAILABLE
        assert "stop btcore first" in capsys.readouterr().err
        assert running.stop() == 0
