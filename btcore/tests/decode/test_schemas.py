# SPDX-License-Identifier: GPL-3.0-or-later
"""The columns of the SQL tables, against those that btmon made."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from helpers.folders import GOLDEN

from btcore import FORMATS, SCHEMAS, Channel, Column, Format, columns, serial_column

RECORDED = sorted((GOLDEN / "sql").glob("sqlite.*.json"))
OWN = 3
"""Columns that are the sink's own: id, time and serial number."""

BTMON_KINDS = {"int": "integer", "bigint": "integer", "float": "real"}


def recorded(name: str) -> dict[str, Any]:
    """Read a recording."""
    path = next(path for path in RECORDED if path.name == f"sqlite.{name}.json")
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def made_by_btmon(recording: dict[str, Any]) -> dict[str, str]:
    """Return the columns of the recorded table, with the kind that each was declared."""
    (create,) = (line for line in recording["dump"] if line.startswith("CREATE TABLE"))
    fields = [field.split() for field in re.findall(r"\((.*)\);", create)[0].split(",")]
    return {field[0]: BTMON_KINDS[field[1]] for field in fields[OWN:]}


def kind_of(recording: dict[str, Any]) -> tuple[Format, str]:
    """Return the packet format and the schema of a recording."""
    return FORMATS[recording["input"]["format"]], recording["options"]["db_schema"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_columns_are_those_of_btmon_in_its_order(path: Path) -> None:
    """Every table has btmon's columns, in its order; QUIRKS G5: where btmon had none at all, there are some."""
    recording = json.loads(path.read_text("utf-8"))
    expected = list(made_by_btmon(recording))
    actual = [column.name for column in columns(*kind_of(recording))]
    if "ecm1220bin_steady.ecmread" in path.name:
        assert not expected
        assert actual
    else:
        assert expected == actual


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_kinds_are_those_of_btmon_but_for_dwh(path: Path) -> None:
    """A column is whole where btmon declared it so; QUIRKS G2: energy of an interval, with fractions, is real."""
    recording = json.loads(path.read_text("utf-8"))
    expected = {name: "real" if name.endswith("_dwh") else kind for name, kind in made_by_btmon(recording).items()}
    actual = {column.name: column.kind for column in columns(*kind_of(recording))}
    assert expected == {name: kind for name, kind in actual.items() if name in expected}


def test_btmon_declared_dwh_a_whole_number() -> None:
    """QUIRKS G2 is what the recordings show, and what is departed from."""
    kinds = made_by_btmon(recorded("ecm1240bin_steady.ecmreadext"))
    assert {"integer"} == {kind for name, kind in kinds.items() if name.endswith("_dwh")}


def test_no_column_is_of_single_precision() -> None:
    """QUIRKS G3: a number is whole or real (double precision); there is no third kind."""
    kinds = {column.kind for format_ in FORMATS.values() for schema in SCHEMAS for column in columns(format_, schema)}
    assert kinds == {"integer", "real"}


def test_key_time_and_serial_are_not_columns_of_a_schema() -> None:
    """QUIRKS G4: what fills id is the sink's own decision, as are time and serial number."""
    names = {column.name for format_ in FORMATS.values() for schema in SCHEMAS for column in columns(format_, schema)}
    assert not names & {"id", "time_created", "serial", "ecm_serial"}


def test_the_ecm_1220_has_measurements_in_every_schema() -> None:
    """QUIRKS G5: btmon's ecmread and ecmreadext of an ECM-1220 held time and serial only; here, what it measures."""
    expected = {
        "ecmread": ["volts", "ch1_amps", "ch2_amps", "ch1_w", "ch2_w"],
        "ecmreadext": [
            *("volts", "ch1_a", "ch2_a", "ch1_w", "ch2_w", "ch1_wh", "ch2_wh", "ch1_dwh", "ch2_dwh"),
            *("ch1_pw", "ch1_nw", "ch2_pw", "ch2_nw", "ch1_pwh", "ch1_nwh", "ch2_pwh", "ch2_nwh"),
        ],
    }
    actual = {schema: [column.name for column in columns(FORMATS["ecm1220bin"], schema)] for schema in expected}
    assert expected == actual


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_label_is_measured_or_calculated(schema: str) -> None:
    """QUIRKS G5: no column needs a switch such as include_current; each number is in all readings or samples."""
    for format_ in FORMATS.values():
        known = set(format_.index)
        for channel in format_.channels:
            kinds = ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh") if channel.directional else ("w", "wh", "dwh")
            known |= {f"{channel.name}_{kind}" for kind in kinds}
        assert {column.label for column in columns(format_, schema)} <= known


@pytest.mark.parametrize("schema", SCHEMAS)
def test_names_are_unique(schema: str) -> None:
    """No table has a column twice."""
    for format_ in FORMATS.values():
        names = [column.name for column in columns(format_, schema)]
        assert len(names) == len(set(names))


def test_formats_that_btmon_had_not_follow_the_same_rules() -> None:
    """Absolute-only packets have no polarized columns, and 32-channel packets have all their channels."""
    names = [column.name for column in columns(FORMATS["gem32abin"], "counters")]
    sensors = [*(f"p{n}" for n in range(1, 5)), *(f"t{n}" for n in range(1, 9))]
    assert names == ["secs", "volts", *(f"ch{n}_aws" for n in range(1, 33)), *sensors]


def test_only_amperes_of_an_ecm_in_ecmread_are_named_otherwise() -> None:
    """A column has the name of its label, but for ch1_amps and ch2_amps in btmon's ecmread of an ECM."""
    renamed = {
        (schema, column.name, column.label)
        for format_ in FORMATS.values()
        for schema in SCHEMAS
        for column in columns(format_, schema)
        if column.name != column.label
    }
    assert renamed == {("ecmread", "ch1_amps", "ch1_a"), ("ecmread", "ch2_amps", "ch2_a")}


INVERTER = Format(
    name="inverter",
    labels=("volts", "secs", "flag", "pv1_ws", "grid_aws", "grid_pws", "grid_a", "serial", "Id", "hertz"),
    channels=(Channel("pv1", "pv1_ws", directional=False), Channel("grid", "grid_aws", "grid_pws")),
    unpack=lambda _: (),
    reset_label="flag",
    reset_mask=1,
)
"""A meter of another make: with a reset flag, as an ECM has, and labels that are the names of a sink's own columns."""


def test_a_meter_of_another_make_has_all_its_labels_as_counters() -> None:
    """`counters` has every label of a format that a plugin brings, in its order; counters are whole, the rest real."""
    whole = ("secs", "pv1_ws", "grid_aws", "grid_pws")
    renamed = {"serial": "serial_", "Id": "Id_"}
    assert columns(INVERTER, "counters") == tuple(
        Column(renamed.get(label, label), label, "integer" if label in whole else "real") for label in INVERTER.labels
    )


def test_a_meter_of_another_make_has_all_its_channels_calculated() -> None:
    """`ecmread` and `ecmreadext` have what it measures beside its counters, and all channels, auxiliary ones too."""
    measured = ["volts", "flag", "grid_a", "serial", "Id", "hertz"]
    assert [column.label for column in columns(INVERTER, "ecmread")] == [*measured, "grid_w", "pv1_w"]
    assert [column.label for column in columns(INVERTER, "ecmreadext")] == [
        *measured,
        *("grid_w", "pv1_w", "grid_wh", "pv1_wh", "grid_dwh", "pv1_dwh"),
        *("grid_pw", "grid_nw", "grid_pwh", "grid_nwh"),
    ]


def test_a_meter_of_many_channels_has_them_all() -> None:
    """The 32 channels of btmon's tables are no bound for others."""
    names = [f"c{n}" for n in range(50)]
    form = Format("many", ("secs", *(f"{n}_ws" for n in names)), [Channel(n, f"{n}_ws") for n in names], lambda _: ())
    assert len(columns(form, "counters")) == 51
    assert len(columns(form, "ecmread")) == 50


@pytest.mark.parametrize("family", ["ecm", "gem"])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_table_has_no_column_that_is_nowhere_measured(schema: str, family: Literal["ecm", "gem"]) -> None:
    """A format that takes the tables of a family, and lacks some of its numbers, has no columns for those."""
    form = Format("less", ("secs", "ch1_aws"), (Channel("ch1", "ch1_aws"),), unpack=lambda _: (), family=family)
    assert not {column.label for column in columns(form, schema)} & {"volts", "ch1_a", "ch1_pws"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_serial_column_is_btmons(path: Path) -> None:
    """The serial number is in the column that btmon put it into."""
    recording = json.loads(path.read_text("utf-8"))
    assert recording["columns"][2] == serial_column(recording["options"]["db_schema"])


def test_an_unknown_schema_is_a_key_error() -> None:
    """Asking for a schema that there is not is a mistake of the caller."""
    with pytest.raises(KeyError):
        columns(FORMATS["ecm1240bin"], "wattage")
