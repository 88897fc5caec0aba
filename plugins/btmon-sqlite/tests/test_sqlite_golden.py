# SPDX-License-Identifier: GPL-3.0-or-later
"""Against btmon: the same rows by the names of their columns, but for what it did wrong."""

import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between

from btcore import Batch
from btmon_sqlite.sink import Sqlite

RECORDED = sorted((GOLDEN / "sql").glob("sqlite.*.json"))

Rows = list[dict[str, Any]]


def load(path: Path) -> dict[str, Any]:
    """Read a recording."""
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def recorded_rows(recording: dict[str, Any]) -> Rows:
    """Return the rows that btmon stored, by column."""
    return [dict(zip(recording["columns"], row, strict=True)) for row in recording["rows"]]


def rows_of(file: Path, table: str) -> Rows:
    """Return all rows of a table, by column, in the order of time."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY time_created, id")]


@pytest.fixture(name="stored")
def stored_fixture(opened: Callable[..., Sqlite], tmp_path: Path) -> Callable[[dict[str, Any]], Rows]:
    """Store the stream of a recording with its options, and give the rows."""

    def store(recording: dict[str, Any]) -> Rows:
        options, file = recording["options"], tmp_path / "energy.db"
        sink = opened(file=file, schema=options["db_schema"], table=options.get("sqlite_table", ""))
        readings = recorded_readings(recording["input"]["stream"])
        sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings, "btmon"))))
        return rows_of(file, recording["tables"][0])

    return store


def differs(name: str, ours: dict[str, Any], btmon: Any) -> str:  # noqa: ANN401 - any stored value
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
    value = ours[name]
    if name == "id":
        return "" if value == btmon else "G4"
    if value is None:
        return "B1" if name.startswith("t") and btmon == 0 else "no value"
    if isinstance(value, str) or value == btmon:
        return "" if value == btmon else "another text"
    if f"{value:.12g}" == f"{btmon:.12g}":
        return "G1"
    if name.endswith("_dwh") and math.isclose(value, btmon, abs_tol=1e-8):
        return "A13"
    return "A1" if name.endswith("_w") and abs(value) < abs(btmon) else "another number"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_rows_are_those_of_btmon(path: Path, stored: Callable[[dict[str, Any]], Rows]) -> None:
    """Every row of btmon is stored with the same values by name; what differs is a known quirk, and nothing else."""
    recording = load(path)
    ours = {row["time_created"]: row for row in stored(recording)}
    found = {
        differs(name, ours[row["time_created"]], value)
        for row in recorded_rows(recording)
        for name, value in row.items()
    }
    assert found <= {"", "A1", "A13", "B1", "G1", "G4"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_all_readings_are_stored(path: Path, stored: Callable[[dict[str, Any]], Rows]) -> None:
    """Counters hold every reading, also a meter's first, which btmon left out; the others a row for each sample."""
    recording = load(path)
    expected = [1_700_000_000 + 10 * n for n in range(8)]
    rows = stored(recording)
    assert [row["time_created"] for row in rows] == expected[recording["options"]["db_schema"] != "counters" :]


def recorded(name: str) -> dict[str, Any]:
    """Read a recording by its name."""
    return load(next(path for path in RECORDED if path.name == f"sqlite.{name}.json"))


def at(rows: Rows, time: int) -> dict[str, Any]:
    """Return the row of a time."""
    return next(row for row in rows if row["time_created"] == time)


def test_a1_power_is_net(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS A1: where energy flowed both ways, power is what flowed one way less what flowed the other."""
    recording = recorded("ecm1240bin_steady.ecmreadext")
    row, btmon = at(stored(recording), 1_700_000_040), at(recorded_rows(recording), 1_700_000_040)
    assert (row["ch2_w"], btmon["ch2_w"]) == (row["ch2_pw"] - row["ch2_nw"], 1911.09090909)


def test_a13_energy_of_an_idle_channel_is_zero(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS A13: the energy of an interval is the counters' difference, without the noise of two large numbers."""
    recording = recorded("gem48ptbin_steady.ecmreadext.include_current")
    row, btmon = at(stored(recording), 1_700_000_010), at(recorded_rows(recording), 1_700_000_010)
    assert (row["ch21_dwh"], btmon["ch21_dwh"]) == (0, -4.65661287308e-10)


def test_b1_a_missing_sensor_is_null(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS B1: a temperature without a sensor is NULL, where btmon stored 0 degrees; a real 0 stays 0."""
    recording = recorded("gem48ptbin_steady.counters")
    row, btmon = at(stored(recording), 1_700_000_010), at(recorded_rows(recording), 1_700_000_010)
    assert (row["t3"], row["t5"], btmon["t3"]) == (None, 0, 0)


def test_g1_values_are_stored_in_full(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS G1: a value is stored as it was calculated, where btmon kept 12 digits."""
    recording = recorded("ecm1240bin_steady.ecmreadext")
    row, btmon = at(stored(recording), 1_700_000_010), at(recorded_rows(recording), 1_700_000_010)
    assert row["ch2_pwh"] - row["ch2_nwh"] == row["ch2_wh"] == pytest.approx(3257143.5794444443, rel=1e-15)
    assert btmon["ch2_wh"] == 3257143.57944


def test_g2_g3_numbers_with_fractions_are_real(stored: Callable[[dict[str, Any]], Rows], tmp_path: Path) -> None:
    """QUIRKS G2, G3: energy of an interval and all that may have a fraction is declared REAL, in double precision."""
    stored(recorded("ecm1240bin_steady.ecmreadext"))
    with closing(sqlite3.connect(tmp_path / "energy.db")) as connection:
        declared = dict(connection.execute("SELECT name, type FROM pragma_table_info('ecm1240bin_ecmreadext')"))
    own = {"id": "INTEGER", "time_created": "INTEGER", "ecm_serial": "TEXT"}
    assert declared == dict.fromkeys(declared, "REAL") | own


def test_g4_id_is_the_key_of_the_reading(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS G4: id holds the time in microseconds, where btmon left it empty."""
    recording = recorded("ecm1240bin_steady.counters")
    rows = stored(recording)
    assert [row["id"] for row in rows] == [row["time_created"] * 1_000_000 for row in rows]
    assert {row["id"] for row in recorded_rows(recording)} == {None}


def test_g5_ecmread_of_an_ecm_1220_has_measurements(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS G5: an ECM-1220 has its volts, amperes and watts in ecmread, where btmon stored none."""
    row = at(stored(recorded("ecm1220bin_steady.ecmread")), 1_700_000_010)
    measured = {name: row[name] for name in ("volts", "ch1_amps", "ch2_amps", "ch1_w", "ch2_w")}
    assert measured == {"volts": 120.9, "ch1_amps": 12.71, "ch2_amps": 18.1, "ch1_w": -1536.4, "ch2_w": 2187.7}


def test_g5_ecmread_of_a_gem_needs_no_switch(stored: Callable[[dict[str, Any]], Rows]) -> None:
    """QUIRKS G5: a GEM's ecmread holds what btmon stored with include_current; without, btmon stored nothing."""
    rows = stored(recorded("gem48ptbin_steady.ecmread"))
    assert recorded("gem48ptbin_steady.ecmread")["rows"] == []
    expected = recorded_rows(recorded("gem48ptbin_steady.ecmread.include_current"))
    assert [row["ch2_a"] for row in rows] == [row["ch2_a"] for row in expected]


@pytest.mark.parametrize("path", [path for path in RECORDED if load(path)["rows"]], ids=lambda path: path.stem)
def test_a_file_of_btmon_goes_on(
    path: Path,
    opened: Callable[..., Sqlite],
    tmp_path: Path,
) -> None:
    """New rows follow the old ones in btmon's own table, with ids, and each once; the old rows stay as they were."""
    recording, file = load(path), tmp_path / "ecm.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("\n".join(recording["dump"]))
    readings = recorded_readings(recording["input"]["stream"])
    batch = Batch(tuple(readings), tuple(samples_between(readings, "btmon")))
    options, table = recording["options"], recording["tables"][0]
    sink = opened(file=file, schema=options["db_schema"], table=options.get("sqlite_table", ""))
    sink.process_batch(batch)
    sink.process_batch(batch)
    rows = rows_of(file, table)
    old = [{name: row[name] for name in recording["columns"]} for row in rows if row["id"] is None]
    new = [row["id"] for row in rows if row["id"] is not None]
    assert old == recorded_rows(recording)
    assert new == [reading.key for reading in readings[options["db_schema"] != "counters" :]]
