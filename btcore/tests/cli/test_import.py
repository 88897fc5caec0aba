# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore import`: captures, logs of btmon and CSV files come into the journal, each reading once."""

import gzip
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.database_rows import table_rows
from helpers.folders import GOLDEN

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
[sink.samples]
use = "sqlite"
file = "energy.db"
schema = "samples"
flush_interval = 0
"""
LIVE = '[source.live]\nuse = "simulator"\ninterval = "1s"\nserial = "01000777"\n'
CONFIG = ["--config", "site.toml"]


def simulate(file: str, *options: str) -> None:
    """Write a recording of 200 packets, ten seconds apart."""
    words = ["simulate", "--start", "2026-11-20T00:00Z", "--output", file, *options]
    assert main([*words, "--packets", "200"]) == OK


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a site that has never run, and whose source has nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "cap").touch()
    return tmp_path


def printed(stream: str) -> str:
    """Return what btmon printed of a recorded stream, which has 7 readings."""
    text: str = json.loads((GOLDEN / "print" / f"{stream}.reverse_polarity.json").read_text())["stdout"]
    return text


def test_a_capture_is_brought_in_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its readings keep their times, are delivered by the next run, and a second import adds nothing."""
    simulate("old", "--serial", "01000999")
    for new in (200, 0):
        capsys.readouterr()
        assert main(["import", "old", *CONFIG]) == OK
        assert capsys.readouterr().err == f"old: 200 readings; {new} new, {200 - new} already there\n"
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    rows = table_rows(folder / "energy.db", "gem48ptbin_counters", "id")
    assert (len(rows), rows[0][0], rows[-1][0] - rows[0][0]) == (200, 1_795_132_800_000_000, 1_990_000_000)


def test_a_log_of_btmon_is_delivered_with_its_energy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each interval of the log is a sample, with the energy that btmon counted; twice imported, it is there once."""
    (folder / "btmon.log").write_text(printed("ecm1240bin_steady"))
    for _ in range(2):
        assert main(["import", "btmon.log", "--zone", "UTC", *CONFIG]) == OK
    assert capsys.readouterr().err.endswith("btmon.log: 7 readings; 0 new, 7 already there\n")
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    found = table_rows(folder / "energy.db", "samples WHERE channel = 'ch1'", "COUNT(*), SUM(wh_delta), MIN(time)")
    (intervals, wh, first), total = found[0], kwh(printed("ecm1240bin_steady"), "Ch1 Watts")
    assert (intervals, first) == (6, "2023-11-14 22:13:40.000000")
    assert wh == pytest.approx(1000 * (total[-1] - total[0]), abs=0.002)
    assert len(table_rows(folder / "energy.db", "ecm1240bin_counters", "id")) == 7


def kwh(log: str, title: str) -> list[float]:
    """Return the energies that a log has of a line with this title."""
    return [float(line.split(": ")[-1].split("KWh")[0]) for line in log.splitlines() if f": {title}:" in line]


def test_files_of_one_import_continue_each_other(folder: Path) -> None:
    """A log in parts, one of them compressed, has the same readings as in one; of a channel that exports too."""
    text = printed("gem48ptbin_steady").split("\n\n")
    (folder / "btmon.log.1.gz").write_bytes(gzip.compress("\n\n".join(text[:3]).encode()))
    (folder / "btmon.log").write_text("\n\n".join(text[3:]))
    (folder / "all.log").write_text("\n\n".join(text))
    assert main(["import", "btmon.log.1.gz", "btmon.log", "--zone", "UTC", *CONFIG]) == OK
    (folder / "other.toml").write_text(SITE.replace('"state"', '"other"').replace("energy.db", "other.db"))
    assert main(["import", "all.log", "--zone", "UTC", "--config", "other.toml"]) == OK
    for config in ("site.toml", "other.toml"):
        assert main(["run", "--once", "--quiet", config]) == OK
    parts, whole = (table_rows(folder / name, "samples", "*") for name in ("energy.db", "other.db"))
    assert parts == whole
    assert len(parts) > 6 * 32


def test_a_reading_that_is_there_under_its_time_is_not_added(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A part of a log that was imported before adds nothing, though its counters begin anew in that part."""
    text = printed("gem48ptbin_steady").split("\n\n")
    (folder / "all.log").write_text("\n\n".join(text))
    (folder / "part.log").write_text("\n\n".join(text[3:]))
    assert main(["import", "all.log", "part.log", "--zone", "UTC", *CONFIG]) == OK
    assert capsys.readouterr().err.endswith("part.log: 4 readings; 0 new, 4 already there\n")


def test_a_table_is_brought_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV of another program: its columns are named, what is wrong in it is told, and its energy is delivered."""
    rows = ["When,House kWh", "11/20/2026 10:00,5.0", "11/20/2026 10:10,5.5", "noon,6", "11/20/2026 10:20,5.4"]
    (folder / "house.csv").write_text("\n".join(rows))
    columns = ["--column", "When=time", "--column", "House kWh=ch1_kwh", "--time-format", "%m/%d/%Y %H:%M"]
    assert main(["import", "house.csv", "--serial", "01000777", "--zone", "UTC", *columns, *CONFIG]) == OK
    told = capsys.readouterr().err
    assert told.startswith("house.csv:4: 'noon' is no time; expected one such as %m/%d/%Y %H:%M\n")
    assert told.endswith("house.csv: 3 readings; 3 new, 0 already there\n")
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    found = table_rows(folder / "energy.db", "samples WHERE channel = 'ch1'", "wh_delta, seconds")
    assert found == [(500, 600), (-100, 600)]


def test_a_table_of_btmons_database_is_brought_in(folder: Path) -> None:
    """What `sqlite3 -csv -header` writes of a table of btmon is read back into the same rows."""
    simulate("old", "--format", "ecm1240bin")
    assert main(["import", "old", *CONFIG]) == OK
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    with closing(sqlite3.connect(folder / "energy.db")) as connection:
        found = connection.execute("SELECT * FROM ecm1240bin_counters")
        lines = [[column[0] for column in found.description], *found]
    (folder / "t.csv").write_text("\n".join(",".join("" if v is None else str(v) for v in line) for line in lines))
    (folder / "other.toml").write_text(SITE.replace('"state"', '"other"').replace("energy.db", "other.db"))
    assert main(["import", "t.csv", "--config", "other.toml"]) == OK
    assert main(["run", "--once", "--quiet", "other.toml"]) == OK
    old, new = (table_rows(folder / name, "samples", "*") for name in ("energy.db", "other.db"))
    assert (len(old), new) == (199 * 8, old)


def test_hosted_services_get_it_only_if_asked(folder: Path) -> None:
    """What is imported is recorded, unless --live says that this site's meters sent it."""
    (folder / "btmon.log").write_text(printed("ecm1240bin_steady"))
    simulate("old")
    assert main(["import", "btmon.log", "--zone", "UTC", *CONFIG]) == OK
    assert main(["import", "old", "--live", *CONFIG]) == OK
    with closing(sqlite3.connect(folder / "state" / "journal.db")) as connection:
        kept = connection.execute("SELECT origin, COUNT(*) FROM entry GROUP BY origin ORDER BY origin").fetchall()
    assert kept == [("", 200), ("recorded", 7)]


def test_what_cannot_be_imported_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 for a file without a reading, 69 for one that is not there, 2 for an option that is wrong."""
    (folder / "letter").write_text("Dear meter,\n")
    assert main(["import", "letter", *CONFIG]) == FAILING
    assert "letter: 0 readings" in capsys.readouterr().err
    assert main(["import", "nowhere", *CONFIG]) == UNAVAILABLE
    assert "nowhere is no file that btcore can read" in capsys.readouterr().err
    assert main(["import", "letter", "--zone", "Mars/Olympus", *CONFIG]) == USAGE
    assert "'Mars/Olympus' is no time zone" in capsys.readouterr().err
    for words in (["import"], ["import", "letter", "--column", "a=b"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, *CONFIG])
        assert ended.value.code == USAGE


def test_a_compressed_file_that_was_cut_off_is_read_as_far_as_it_goes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is in it before the damage is brought in, and the damage is told."""
    lines = [f"{1_700_000_000 + 10 * n},01000777,{n * n}" for n in range(8000)]
    data = gzip.compress("\n".join(["time,serial,ch1_aws", *lines]).encode())
    (folder / "cut.csv.gz").write_bytes(data[: len(data) // 2])
    assert main(["import", "cut.csv.gz", *CONFIG]) == OK
    told = capsys.readouterr().err
    assert "cut.csv.gz: damaged or cut off from here on" in told
    assert 2000 < int(told.splitlines()[-1].split(": ")[1].split()[0]) < 8000


@pytest.mark.servers
def test_beside_a_running_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of the meter that is heard is delivered while it is heard: what came before, with its energy."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    rows = [f"{(begin + timedelta(seconds=10 * n)).isoformat()},01000777,{n}" for n in range(100)]
    (folder / "old.csv").write_text("\n".join(["time,serial,ch1_wh", *rows]))
    samples = "samples WHERE channel = 'ch1' AND serial = '01000777'"
    with BtcoreProcess(folder, SITE + LIVE) as running:
        wait_for(lambda: table_rows(folder / "energy.db", samples, "1"), "the meter to be heard")
        assert main(["import", "old.csv", *CONFIG]) == OK
        assert "100 readings; 100 new" in capsys.readouterr().err
        old = f"{samples} AND time < '{begin + timedelta(days=1):%Y-%m-%d}'"
        wait_for(lambda: len(table_rows(folder / "energy.db", old, "1")) >= 90, "the history")
        assert running.stop() == 0
    energies = [wh for (wh,) in table_rows(folder / "energy.db", old, "wh_delta")]
    assert energies == [pytest.approx(1.0)] * len(energies)
