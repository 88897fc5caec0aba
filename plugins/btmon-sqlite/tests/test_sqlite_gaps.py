# SPDX-License-Identifier: GPL-3.0-or-later
"""The file can be asked what it has, so that gaps in it are found."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from helpers.samplers import samples_between

from btcore import FORMATS, Batch, Reading, pack
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, 12, tzinfo=UTC)

Opened = Callable[..., Sqlite]


def batch_of(*seconds: int, serial: str = "01021234") -> Batch:
    """Make a batch of a meter's readings, and of the samples between them."""
    readings = [
        Reading(
            START + timedelta(seconds=at),
            FORMATS["gem48ptbin"],
            serial,
            pack("gem48ptbin", serial, {"secs": 5000 + at, "ch1_aws": 1000 * at}),
        )
        for at in seconds
    ]
    return Batch(tuple(readings), tuple(samples_between(readings)))


@pytest.mark.parametrize("schema", ["counters", "ecmreadext", "samples"])
def test_what_is_stored_is_found(
    schema: Literal["counters", "ecmreadext", "samples"], opened: Opened, tmp_path: Path
) -> None:
    """Of a batch, what an earlier one stored is found, by serial number and key, and nothing else."""
    sink = opened(file=tmp_path / "energy.db", schema=schema)
    assert list(sink.find_stored(batch_of(0, 10, 20))) == []
    sink.process_batch(batch_of(0, 10, 20))
    asked = batch_of(0, 10, 20, 30)
    has = [one for one in asked.readings[:3] if schema == "counters" or one is not asked.readings[0]]
    assert sorted(sink.find_stored(asked)) == [(one.serial, one.key) for one in has]
    assert list(sink.find_stored(batch_of(0, 10, 20, serial="01021235"))) == []


def test_a_table_in_which_the_key_alone_is_unique_is_asked_too(opened: Opened, tmp_path: Path) -> None:
    """In a table of btmon, the row of a second meter at the same time is found under its substitute key."""
    file = tmp_path / "energy.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE gem48ptbin_counters (id BIGINT PRIMARY KEY, time_created BIGINT, serial TEXT)")
    sink = opened(file=file)
    both = batch_of(0, 10).readings + batch_of(0, 10, serial="01021235").readings
    sink.process_batch(Batch(both))
    assert len(list(sink.find_stored(Batch(both)))) == 4
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM gem48ptbin_counters WHERE serial = '01021235' AND time_created % 100 = 10")
    assert set(sink.find_stored(Batch(both))) == {(one.serial, one.key) for one in both[:3]}
