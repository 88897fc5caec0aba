# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels 33 to 48 of a GEM: a table gains their columns when they first move, and no energy is ever left out."""

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Batch, Context, Reading, Retry, pack
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
RECORDED = GOLDEN / "sql"
TABLE = "gem48ptbin_counters"
METER = "01021234"

Opened = Callable[..., Sqlite]


def gem(secs: int, name: str = "gem48ptbin", serial: str = METER, **counters: float) -> Reading:
    """Make a reading of a GEM that has counted so much, so many seconds from the start."""
    raw = pack(name, serial, {"volts": 121.5, "secs": 5000 + secs, **counters})
    return Reading(START + timedelta(seconds=secs), FORMATS[name], serial, raw)


def query(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(sql).fetchall()


def named(file: Path, table: str = TABLE) -> list[str]:
    """Return the names of a table's columns, in its order."""
    return [name for (name,) in query(file, f"SELECT name FROM pragma_table_info('{table}')")]


def further(file: Path, table: str = TABLE) -> list[str]:
    """Return the columns of a table that btmon's has not."""
    return [name for name in named(file, table) if name.startswith("ch") and int(name[2:].partition("_")[0]) > 32]


def test_columns_come_when_a_channel_first_moves(opened: Opened, tmp_path: Path) -> None:
    """A table is btmon's until a further channel moves; then it has that one's columns, behind, and keeps its rows."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((gem(0, ch1_aws=7),)))
    before = named(file)
    assert further(file) == []
    sink.process_batch(Batch((gem(10, ch40_aws=5, ch40_pws=1),)))
    assert named(file) == [*before, "ch40_aws", "ch40_pws"]
    assert query(file, f"SELECT ch1_aws, ch40_aws, ch40_pws FROM {TABLE} ORDER BY id") == [(7, None, None), (0, 5, 1)]


def test_columns_stay_and_are_filled_from_then_on(opened: Opened, tmp_path: Path) -> None:
    """After it has moved once, a channel's counters are in every row, at 0 too, also after a restart of btcore."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((gem(0, ch33_aws=5),)))
    sink.process_batch(Batch((gem(10),)))
    sink.close()
    opened(file=file).process_batch(Batch((gem(20), gem(30, ch34_aws=1))))
    assert query(file, f"SELECT ch33_aws, ch34_aws FROM {TABLE} ORDER BY id") == [(5, None), (0, None), (0, 0), (0, 1)]


def test_all_48_channels_from_the_first_packet(opened: Opened, tmp_path: Path) -> None:
    """A meter with 48 channels in use has them all in its first row, in the order of their numbers."""
    file = tmp_path / "energy.db"
    readings = recorded_readings("gem48ptbin_steady")
    opened(file=file).process_batch(Batch(tuple(readings)))
    assert further(file) == [f"ch{number}_{kind}" for number in range(33, 49) for kind in ("aws", "pws")]
    (first, *_) = query(file, f"SELECT {', '.join(further(file))} FROM {TABLE} ORDER BY id")
    assert first == tuple(readings[0].get(label) for label in further(file))


@pytest.mark.parametrize(("schema", "kinds"), [("ecmread", ("a", "w")), ("ecmreadext", ("a", "w", "wh", "dwh"))])
def test_calculated_schemas_have_them_too(schema: str, kinds: tuple[str, ...], opened: Opened, tmp_path: Path) -> None:
    """Amperes, watts and energies of a further channel have the columns that the others have."""
    file, table = tmp_path / "energy.db", f"gem48ptbin_{schema}"
    readings = [gem(0), gem(10), gem(20, ch48_aws=36_000, ch48_a=15)]
    opened(file=file, schema=schema).process_batch(Batch(tuple(readings), tuple(samples_between(readings, "btmon"))))
    assert further(file, table) == [f"ch48_{kind}" for kind in kinds]
    values = {"a": 15, "w": -3600, "wh": -10, "dwh": -10}
    names = ", ".join(further(file, table))
    assert query(file, f"SELECT {names} FROM {table} ORDER BY id DESC")[0] == tuple(values[kind] for kind in kinds)


def test_formats_of_one_table_have_what_they_measure(opened: Opened, tmp_path: Path) -> None:
    """In a table that all formats share, each fills the columns that it has, whichever format added them."""
    file = tmp_path / "energy.db"
    sink = opened(file=file, table="house")
    sink.process_batch(Batch((gem(0, "gem48abin", ch40_aws=5), gem(1, "gem32pbin"), gem(2, ch41_aws=2))))
    sink.process_batch(Batch((gem(3, "gem48abin", ch40_aws=6), gem(4))))
    assert query(file, "SELECT ch40_aws, ch40_pws, ch41_aws FROM house ORDER BY id") == [
        *((5, None, None), (None, None, None), (0, 0, 2)),
        *((6, None, 0), (0, 0, 0)),
    ]


def test_what_is_added_is_told_in_one_line(opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the channels once, as news and not as a warning, when they are there."""
    file = tmp_path / "energy.db"
    caplog.set_level(logging.INFO)
    sink = opened(file=file)
    sink.process_batch(Batch((gem(0),)))
    for secs in (10, 20, 30):
        sink.process_batch(Batch((gem(secs, ch33_aws=1, ch40_aws=1, ch40_pws=1),)))
    (told,) = caplog.records
    assert told.levelno == logging.INFO
    assert told.getMessage() == (
        f"table {TABLE} of {file} has columns for ch33, ch40 from now on, as they have measured something"
    )


def test_nothing_is_told_of_what_could_not_be_added(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk the table is as it was, and the log says nothing of columns, however often it is tried."""
    file = tmp_path / "energy.db"
    caplog.set_level(logging.INFO)
    sink = opened(file=file)
    sink.process_batch(Batch((gem(0),)))
    assert sink._connection is not None
    sink._connection.connection.execute("PRAGMA max_page_count = 3")
    batch = Batch(tuple(gem(secs, ch33_aws=1) for secs in range(100)))
    for _ in range(3):
        with pytest.raises(Retry, match="no space left"):
            sink.process_batch(batch)
    assert (caplog.messages, further(file)) == ([], [])
    sink._connection.connection.execute("PRAGMA max_page_count = 100000")
    sink.process_batch(batch)
    assert len(caplog.messages) == 1


def test_a_dry_run_shows_them(tmp_path: Path, opened: Opened) -> None:
    """What would be stored of a channel that has moved is in the line, and a database is not made."""
    sink = opened(file=tmp_path / "energy.db", dry_run=True)
    idle, moved = (
        list(sink.preview_batch(Batch((gem(0, "gem48ptbin", METER, **counters),))))
        for counters in ({}, {"ch33_aws": 5})
    )
    assert "ch33" not in idle[0]
    assert moved[0].endswith(", ch33_aws=5, ch33_pws=0")
    assert not (tmp_path / "energy.db").exists()


def test_a_column_that_somebody_dropped_comes_again(opened: Opened, tmp_path: Path) -> None:
    """Of a channel that a table knows, what is missing is added."""
    file = tmp_path / "energy.db"
    sink = opened(file=file)
    sink.process_batch(Batch((gem(0, ch33_aws=5, ch33_pws=2),)))
    sink.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN ch33_pws")
    opened(file=file).process_batch(Batch((gem(10),)))
    assert query(file, f"SELECT ch33_aws, ch33_pws FROM {TABLE} ORDER BY id") == [(5, None), (0, 0)]


@pytest.mark.parametrize(
    "path", sorted(RECORDED.glob("sqlite.gem48*.json")), ids=lambda path: path.stem.removeprefix("sqlite.")
)
def test_a_table_of_btmon_gains_columns_and_keeps_its_rows(path: Path, opened: Opened, tmp_path: Path) -> None:
    """In btmon's own file all further channels are stored, behind its columns, and its rows are as they were."""
    recording, file = json.loads(path.read_text("utf-8")), tmp_path / "ecm.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("\n".join(recording["dump"]))
    options, (table, *_) = recording["options"], recording["tables"]
    old, before = query(file, f"SELECT * FROM {table}"), named(file, table)
    readings = recorded_readings(recording["input"]["stream"])
    sink = opened(file=file, schema=options["db_schema"], table=options.get("sqlite_table", ""))
    sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings, "btmon"))))
    assert named(file, table)[: len(before)] == before
    assert {name.partition("_")[0] for name in further(file, table)} == {f"ch{number}" for number in range(33, 49)}
    kept = ", ".join(f'"{name}"' for name in before)
    assert query(file, f"SELECT {kept} FROM {table} WHERE id IS NULL") == old


LABELS = [f"ch{number}_{kind}" for number in (1, 32, 33, 40, 48) for kind in ("aws", "pws")]
COUNTERS = st.dictionaries(st.sampled_from(LABELS), st.sampled_from([0, 1, 3600, (1 << 40) - 1]))
PACKETS = st.lists(
    st.tuples(st.sampled_from(["gem48ptbin", "gem48abin"]), COUNTERS, st.sampled_from(["", "batch", "restart"])),
    max_size=12,
)


@given(PACKETS, st.booleans())
def test_no_energy_is_missing(packets: list[tuple[str, dict[str, int], str]], shared: bool) -> None:
    """Whatever packets come, in whatever batches and between whatever restarts, each counter is as it was sent.

    A counter that has no column yet, or that is NULL in its row, is one that was at 0.
    """
    readings = [
        gem(at, name, METER, **{label: n for label, n in counters.items() if label in FORMATS[name].index})
        for at, (name, counters, _) in enumerate(packets)
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "energy.db"
        store(file, readings, [cut for _, _, cut in packets], "house" if shared else "")
        tables = ["house"] if shared else [f"{name}_counters" for name in FORMATS]
        stored = {row["id"]: row for table in tables for row in rows(file, table)}
    for reading in readings:
        row = stored[reading.key]
        sent = {label: reading.get(label) or 0 for label in LABELS}
        assert {label: row.get(label) or 0 for label in LABELS} == sent


def store(file: Path, readings: Sequence[Reading], cuts: Sequence[str], table: str) -> None:
    """Store readings; before each it is said whether a batch, or the sink, ends."""
    sink, waiting = Sqlite(file=file, table=table), list[Reading]()
    for reading, cut in zip(readings, cuts, strict=True):
        if cut:
            sink.process_batch(Batch(tuple(waiting)))
            waiting = []
        if cut == "restart":
            sink.close()
            sink = Sqlite(file=file, table=table)
            sink.open(Context("sink.test", logging.getLogger("sink.test")))
        waiting.append(reading)
    sink.process_batch(Batch(tuple(waiting)))
    sink.close()


def rows(file: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table, by column; none where there is no such table."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
