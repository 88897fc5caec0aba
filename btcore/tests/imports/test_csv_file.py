# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV files: what a column has is known by its name, and what is nearest to the meter's counters is taken."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import Reading
from btcore.imports.csv_file import read_csv
from btcore.imports.energies import EnergyCounters
from btcore.imports.options import ImportOptions

KWH = 3_600_000


def read(text: str, **said: object) -> tuple[list[Reading], list[tuple[int, str]]]:
    """Read a table; return its readings and what was wrong with it."""
    wrong: list[tuple[int, str]] = []
    options = ImportOptions(zone=UTC, **said)  # type: ignore[arg-type]
    lines = list(enumerate(text.split("\n"), 1))
    return list(read_csv(lines, options, EnergyCounters(), lambda *one: wrong.append(one))), wrong


def test_counters_are_taken_as_they_are() -> None:
    """A table as btmon's database has it is read whole: seconds, volts, counters and sensors."""
    text = "time_created,serial,secs,volts,ch1_aws,ch1_pws,t1,p1\n1700000000,01000777,500,120.5,9000,1000,21.5,7\n"
    (reading,), wrong = read(text)
    assert (reading.serial, reading.time, reading.format.name) == (
        "01000777",
        datetime.fromtimestamp(1_700_000_000, UTC),
        "gem48pbin",
    )
    labels = ("secs", "volts", "ch1_aws", "ch1_pws", "t1", "p1", "ch2_aws")
    assert [reading.get(label) for label in labels] == [500, 120.5, 9000, 1000, 21.5, 7, None]
    assert wrong == []


@pytest.mark.parametrize(
    ("columns", "rows", "expected"),
    [
        ("ch1_kwh", ["5", "6"], [(5 * KWH, 0), (6 * KWH, 0)]),
        ("ch1_kwh", ["5", "4"], [(5 * KWH, 0), (6 * KWH, KWH)]),
        ("ch1_wh", ["-5000", "-5100"], [(5 * KWH, 5 * KWH), (5 * KWH + 360_000, 5 * KWH + 360_000)]),
        ("ch1_pkwh,ch1_nkwh,ch1_w", ["3,1,9", "4,1,9"], [(4 * KWH, KWH), (5 * KWH, KWH)]),
        ("ch1_dwh", ["100", "-50"], [(360_000, 0), (540_000, 180_000)]),
        ("ch1_w", ["7200", "3600"], [(0, 0), (36_000 * 60, 0)]),
    ],
)
def test_energy_becomes_counters(columns: str, rows: list[str], expected: list[tuple[int, int]]) -> None:
    """Net energy, that of either direction, that of the interval, or the power since the row before."""
    lines = [f"2026-01-01 00:{10 * n:02d},01000777,{row}" for n, row in enumerate(rows)]
    found, wrong = read("\n".join([f"time,serial,{columns}", *lines]))
    assert [(one.get("ch1_aws"), one.get("ch1_pws")) for one in found] == expected
    assert wrong == []


def test_the_sign_of_btmon_is_the_other_one() -> None:
    """What btmon's tables have below zero was consumed."""
    text = "time,serial,ch1_wh\n2026-01-01,01000777,-5000\n"
    assert read(text, polarity="btmon")[0][0].get("ch1_aws") == 5 * KWH
    assert read(text, polarity="btmon")[0][0].get("ch1_pws") == 0


def test_watts_say_nothing_of_a_long_gap() -> None:
    """Where rows are missing for more than an hour, the watts after it are not taken for the mean over it."""
    found, _ = read("time,serial,ch1_w\n2026-01-01 00:00,1,100\n2026-01-01 05:00,1,100\n2026-01-01 05:01,1,100\n")
    assert [one.get("ch1_aws") for one in found] == [0, 0, 6000]


def test_columns_may_be_named() -> None:
    """A file of another program is read where its columns are named: semicolons, decimal commas, one meter."""
    text = "Datum;Haus (kWh);Remark\n2026-01-01 00:00;1,5;x\n"
    found, wrong = read(text, serial="01000777", columns={"Datum": "time", "Haus (kWh)": "ch1_kwh"})
    assert [one.get("ch1_aws") for one in found] == [1.5 * KWH]
    assert wrong == [(1, "columns that are not known, and left out: Remark")]


def test_an_ecm_is_known_by_its_channels_and_number() -> None:
    """Auxiliary channels make it an ECM-1240, two channels and six digits an ECM-1220, all else a GEM."""
    tables = {"ch1_wh,aux1_wh": "ecm1240bin", "ch1_wh,ch2_wh": "ecm1220bin", "ch3_wh,ch1_w": "gem48pbin"}
    for columns, form in tables.items():
        assert read(f"time,serial,{columns}\n2026-01-01,399999,1,1\n")[0][0].format.name == form


def test_channels_above_32_are_read() -> None:
    """A GEM has 48 channels."""
    assert read("time,serial,ch48_wh\n2026-01-01,01000777,1\n")[0][0].get("ch48_aws") == 3600


def test_a_row_that_is_wrong_costs_only_itself() -> None:
    """Each is told with its line and what is wrong; an empty cell has no number."""
    rows = ["noon,1,5", "2026-01-01,1,five", "2026-01-02,,5", "2026-01-03,1,", "2026-01-04,1,1e400", "2026-01-05,1"]
    found, wrong = read("\n".join(["time,serial,ch1_aws", *rows]))
    assert [(one.time.day, one.get("ch1_aws")) for one in found] == [(3, None), (5, None)]
    assert [number for number, _ in wrong] == [2, 3, 4, 6]
    assert wrong[1][1] == "ch1_aws: 'five' is no number"


def test_a_table_without_serial_numbers_needs_one() -> None:
    """What is missing is named, and what to do."""
    assert read("time,ch1_wh\n2026-01-01,5\n") == ([], [(1, 'there is no column "serial": name the meter by --serial')])


@given(st.lists(st.text(alphabet='0123456789.,;-"eE:x\x00 \t', max_size=40), max_size=20))
def test_no_row_is_too_strange(rows: list[str]) -> None:
    """Whatever is in a row, a reading or a report comes of it, and no exception."""
    found, wrong = read("\n".join(["time,serial,ch1_aws,ch1_wh,secs", *rows]))
    assert len(found) + len(wrong) == sum(bool(row.strip()) for row in rows)


def test_a_file_whose_lines_end_in_cr_alone_is_told() -> None:
    """An old program writes such lines: they are one line here, which is no header."""
    found, ((line, why),) = read("time,serial,ch1_wh\r1700000000,01000777,5\r")
    assert (found, line) == ([], 1)
    assert "lines end in LF" in why
