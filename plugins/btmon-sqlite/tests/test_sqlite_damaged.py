# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are damaged, or have no room: what can be read is read, and what is stored is there once."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from helpers.small_disk import small_disk
from helpers.stored_readings import numbered_batch, numbered_reading, read_once

from btcore import Context, DiagnosisContext, Retry
from btcore.config.load import load_site
from btmon_sqlite.sink import Sqlite

COUNT = 3000
PAGE = 4096

Damage = Callable[[Path], None]


def sink_of(file: Path) -> Sqlite:
    """Return an opened sink."""
    sink = Sqlite(file=file)
    sink.open(Context("sink.test", logging.getLogger("sink.test")))
    return sink


@pytest.fixture(name="intact", scope="module")
def intact_fixture(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file with some thousand rows."""
    file = tmp_path_factory.mktemp("intact") / "energy.db"
    sink = sink_of(file)
    sink.process_batch(numbered_batch(0, COUNT))
    sink.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return file.read_bytes()


def cut_to(part: float) -> Damage:
    """Return what leaves a part of a file."""
    return lambda file: os.truncate(file, int(file.stat().st_size * part))


def cut_to_pages(part: float) -> Damage:
    """Return what leaves a part of a file, in complete pages."""
    return lambda file: os.truncate(file, int(file.stat().st_size * part) // PAGE * PAGE)


def overwrite(start: int, count: int) -> Damage:
    """Return what writes nonsense into each of ten pages."""

    def damage(file: Path) -> None:
        with file.open("r+b") as out:
            for page in range(20, 30):
                out.seek(PAGE * page + start)
                out.write(Random(page).randbytes(count))

    return damage


@pytest.mark.parametrize(
    ("damage", "most_lost"),
    [
        (cut_to(0.3), 0.75),
        (cut_to_pages(0.5), 0.55),
        (cut_to(0.99), 0.02),
        (overwrite(0, PAGE), 0.5),
        (overwrite(200, PAGE - 200), 0.5),
    ],
    ids=["cut", "cut in pages", "cut at the end", "pages", "the rows of pages"],
)
def test_what_can_be_read_of_a_damaged_file_is_read(
    damage: Damage, most_lost: float, intact: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A page that is lost costs its own rows alone, and it is told how many are lost."""
    file = tmp_path / "energy.db"
    file.write_bytes(intact)
    damage(file)
    found = read_once(Sqlite(file=file))
    assert len(found) >= COUNT * (1 - most_lost)
    assert len({one.key for one in found}) == len(found) < COUNT
    known = {numbered_reading(n).key for n in range(COUNT)}
    assert len([one for one in found if one.key not in known]) <= COUNT * 0.1  # of pages of nonsense
    assert caplog.text.count(f"{file} is damaged (") == 1
    assert f"`sqlite3 {file} .recover` may find more" in caplog.text


def test_an_intact_file_is_not_called_damaged(intact: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All rows are read, and nothing is said."""
    (tmp_path / "energy.db").write_bytes(intact)
    assert len(read_once(Sqlite(file=tmp_path / "energy.db"))) == COUNT
    assert "damaged" not in caplog.text


def test_times_as_text_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A column of times, as SQLite itself writes them, is in UTC; what is no time is left out and counted."""
    file = tmp_path / "energy.db"
    columns = "time_created DATETIME, serial TEXT, secs INTEGER, ch1_aws INTEGER, ch1_pws INTEGER"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"CREATE TABLE ecm1240bin_counters ({columns})")
        for time in ("2024-03-01 12:00:00", "1709294410", "at noon", None):
            connection.execute("INSERT INTO ecm1240bin_counters VALUES (?, '312345', 7, 8, 0)", (time,))
        connection.commit()
    assert [one.timestamp for one in read_once(Sqlite(file=file))] == [1_709_294_400, 1_709_294_410]
    assert "its times are taken to be in UTC" in caplog.text
    assert "2 rows of table ecm1240bin_counters" in caplog.text


@pytest.mark.servers
def test_a_full_disk_waits() -> None:
    """While a disk is full each batch is a Retry; once there is room every reading is there once."""
    with small_disk(16) as disk:
        file = disk.path / "energy.db"
        sink = sink_of(file)
        sink.process_batch(numbered_batch(0, 10))
        disk.fill()
        done = 10
        with pytest.raises(Retry, match=r"no space left for .*energy.db: free space on its disk"):  # noqa: PT012
            while done < COUNT:
                sink.process_batch(numbered_batch(done, done + 500))
                done += 500
        disk.free()
        for first in range(0, COUNT, 500):
            sink.process_batch(numbered_batch(first, first + 500))
        sink.close()
        with closing(sqlite3.connect(file)) as connection:
            ((count, keys),) = connection.execute("SELECT count(*), count(DISTINCT id) FROM ecm1240bin_counters")
        assert count == keys == COUNT


def test_the_state_directory_is_no_missing_directory(tmp_path: Path) -> None:
    """A file in the state directory, which btcore makes, is no reason for a warning; in another directory it is."""
    for folder, warnings in (("state", 0), ("other", 1)):
        (tmp_path / "site.toml").write_text(
            f'state = "state"\n[source.simulator]\n[sink.sqlite]\nfile = "{folder}/energy.db"\n'
        )
        assert len(load_site(tmp_path / "site.toml").warnings) == warnings


def test_doctor_names_a_damaged_file_and_a_wrong_table(intact: bytes, tmp_path: Path) -> None:
    """A file that was cut and a table of another program are findings; a file that is not there yet is none."""
    file = tmp_path / "energy.db"
    contexts = [DiagnosisContext(name=name) for name in ("sink.sqlite", "source.old")]
    assert [list(Sqlite(file=file).diagnose(one)) for one in contexts] == [[], []]
    file.write_bytes(intact)
    assert [list(Sqlite(file=file).diagnose(one)) for one in contexts] == [[], []]
    os.truncate(file, PAGE * 10)
    assert [[found.code for found in Sqlite(file=file).diagnose(one)] for one in contexts] == [["sink-database"]] * 2
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE ecm1240bin_counters (name TEXT)")
    assert [[found.code for found in Sqlite(file=file).diagnose(one)] for one in contexts] == [["wrong-table"]] * 2
