# SPDX-License-Identifier: GPL-3.0-or-later
"""Against btmon, on MariaDB: the same rows by the names of their columns, but for what it did wrong."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.btmon_mysql_tables import RECORDED, fill_as_btmon, load, recorded_rows, table_of
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between

from btcore import Batch
from btmon_mysql.sink import Mysql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

Opened = Callable[..., Mysql]
Rows = list[dict[str, Any]]


def rows_of(energy: "Energy", table: str) -> Rows:
    """Return all rows of a table, by column, in the order in which they were stored."""
    names = [name for name, *_ in energy.sql(f"SHOW COLUMNS FROM {table}")]
    return [
        dict(zip(names, row, strict=True)) for row in energy.sql(f"SELECT * FROM {table} ORDER BY time_created, id")
    ]


def batch_of(recording: dict[str, Any]) -> Batch:
    """Return the recorded readings, and the samples between them with btmon's sign."""
    readings = recorded_readings(recording["input"]["stream"])
    return Batch(tuple(readings), tuple(samples_between(readings, "btmon")))


def sink_for(recording: dict[str, Any], energy: "Energy", opened: Opened) -> Mysql:
    """Open a sink with the settings that were btmon's."""
    options = recording["options"]
    return opened(**energy.settings(schema=options["db_schema"], table=options.get("mysql_table", "")))


def differs(name: str, value: Any, btmon: Any) -> str:  # noqa: ANN401 - any stored value
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
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
def test_rows_are_those_of_btmon(path: Path, energy: "Energy", opened: Opened) -> None:
    """Every row that btmon sent is stored with the same values by name; what differs is a known quirk, and no other."""
    recording = load(path)
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    expected = recorded_rows(recording)
    ours = {row["time_created"]: row for row in rows_of(energy, table_of(recording))}
    found = {differs(name, ours[row["time_created"]][name], value) for row in expected for name, value in row.items()}
    assert found <= {"", "A1", "A13", "B1", "G1"}


@pytest.mark.parametrize("path", [path for path in RECORDED if recorded_rows(load(path))], ids=lambda path: path.stem)
def test_a_database_of_btmon_goes_on(path: Path, energy: "Energy", opened: Opened) -> None:
    """New rows follow the old ones in btmon's own table, each once; the old rows stay as they were."""
    recording, batch = load(path), batch_of(load(path))
    fill_as_btmon(energy, recording)
    table = table_of(recording)
    old = rows_of(energy, table)
    sink = sink_for(recording, energy, opened)
    sink.process_batch(batch)
    sink.process_batch(batch)
    sink.close()
    sink_for(recording, energy, opened).process_batch(batch)
    rows = rows_of(energy, table)
    kept = [{name: row[name] for name in old[0]} for row in rows if row["id"] < 1_000_000]
    new = [row["id"] for row in rows if row["id"] > 1_000_000]
    assert kept == old
    assert new == [one.key for one in batch.readings[recording["options"]["db_schema"] != "counters" :]]


def recorded(name: str) -> dict[str, Any]:
    """Read a recording by its name."""
    return load(next(path for path in RECORDED if path.name == f"mysql.{name}.json"))


def test_g1_values_are_stored_in_full(energy: "Energy", opened: Opened) -> None:
    """QUIRKS G1: a value is stored as it was calculated, where btmon sent 12 digits."""
    recording = recorded("ecm1240bin_steady.ecmreadext")
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    row = rows_of(energy, table_of(recording))[0]
    assert row["ch2_wh"] == pytest.approx(3257143.5794444443, rel=1e-15)
    assert recorded_rows(recording)[0]["ch2_wh"] == 3257143.57944


def test_g2_g3_new_columns_keep_fractions_and_all_digits(energy: "Energy", opened: Opened) -> None:
    """QUIRKS G2, G3: a column that may have a fraction is a DOUBLE, where btmon's were FLOAT, and BIGINT for energy."""
    recording = recorded("ecm1240bin_steady.ecmreadext")
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    types = {name: kind for name, kind, *_ in energy.sql(f"SHOW COLUMNS FROM {table_of(recording)}")}
    own = {"id": "bigint(20)", "time_created": "bigint(20)", "ecm_serial": "varchar(64)"}
    assert types == dict.fromkeys(types, "double") | own


def test_g2_g3_columns_of_btmon_that_lose_digits_are_told_once(
    energy: "Energy", opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """QUIRKS G2, G3: the log has the ALTER that widens btmon's columns; once that was done, all digits are kept."""
    recording = recorded("ecm1240bin_steady.ecmreadext")
    fill_as_btmon(energy, recording)
    batch = batch_of(recording)
    sink = sink_for(recording, energy, opened)
    sink.process_batch(Batch(batch.readings[:2], batch.samples[:1]))
    sink.process_batch(Batch(batch.readings[:3], batch.samples[:2]))
    (said,) = [record.getMessage() for record in caplog.records]
    start = f"table ecm1240bin_ecmreadext of database energy at 127.0.0.1:{energy.server.port} keeps fewer digits"
    assert said.startswith(start)
    assert "ch1_w (FLOAT)" in said
    energy.sql(said.partition("this widens them: ")[2])
    sink.process_batch(batch)
    row = rows_of(energy, table_of(recording))[-1]
    assert row["ch1_dwh"] == batch.samples[-1].values["ch1_dwh"]
    assert row["ch2_wh"] == batch.samples[-1].values["ch2_wh"]


def test_g4_id_is_the_key_of_the_reading(energy: "Energy", opened: Opened) -> None:
    """QUIRKS G4: id holds the time in microseconds; MySQL gave btmon's rows numbers from 1."""
    recording = recorded("ecm1240bin_steady.counters")
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    rows = rows_of(energy, table_of(recording))
    assert [row["id"] for row in rows] == [row["time_created"] * 1_000_000 for row in rows]


def test_g5_every_schema_of_every_format_has_measurements(energy: "Energy", opened: Opened) -> None:
    """QUIRKS G5: where btmon stored time and serial number alone, or nothing, the row has what was measured."""
    recording = recorded("ecm1220bin_steady.ecmread")
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    assert set(recorded_rows(recording)[0]) == {"time_created", "ecm_serial"}
    assert {"volts", "ch1_amps", "ch1_w"} < set(rows_of(energy, table_of(recording))[0])
    recording = recorded("gem48ptbin_steady.ecmread")
    sink_for(recording, energy, opened).process_batch(batch_of(recording))
    assert (recorded_rows(recording), len(rows_of(energy, table_of(recording)))) == ([], 7)
