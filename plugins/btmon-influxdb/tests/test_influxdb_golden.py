# SPDX-License-Identifier: GPL-3.0-or-later
"""Against btmon: the same points, but for what it did wrong. Each difference is named by its number in QUIRKS.md."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
from helpers.configured_sink import sink_from_toml
from helpers.folders import GOLDEN
from helpers.influxdb_sinks import recorded_batch
from helpers.line_protocol import Line, read_lines

from btcore import ChannelRef, Context
from btcore.errors import ConfigurationError
from btmon_influxdb.sink import InfluxDB

RECORDED = [one for one in sorted((GOLDEN / "influxdb").glob("*.json")) if "unknown_schema" not in one.name]
SETTINGS = ("database", "measurement")
Value = tuple[str, frozenset[tuple[str, str]], str]
"""What names a value: measurement, tags, field."""


def load(path: Path) -> dict[str, Any]:
    """Read a recording."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def recording(name: str) -> dict[str, Any]:
    """Read a recording by its name."""
    return load(GOLDEN / "influxdb" / f"{name}.json")


def pairs(text: str) -> dict[str, str]:
    """Read a list of names and values, as btmon has it."""
    items = text.split(",") if text else []
    return dict(zip(items[::2], items[1::2], strict=True))


def sink_for(recorded: dict[str, Any]) -> InfluxDB:
    """Make a sink with the settings that were btmon's."""
    options = recorded["options"]
    names = {ChannelRef(*key.split("_", 1)): name for key, name in pairs(options.get("influxdb_map", "")).items()}
    mode = options.get("influxdb_mode", "col")
    return InfluxDB(
        **{key: options[f"influxdb_{key}"] for key in SETTINGS},
        schema=options.get("influxdb_db_schema", "counters"),
        mode=mode if mode in {"col", "row", "dotted"} else "row",
        map=names,
        tags=pairs(options.get("influxdb_tags", "")),
        serials="short",
    )


def our_lines(recorded: dict[str, Any]) -> list[Line]:
    """Return the points that are written of a recorded stream."""
    sink = sink_for(recorded)
    sink.open(Context("sink.test", logging.getLogger("sink.test"), polarity="btmon", dry_run=True))
    lines = sink.preview_batch(recorded_batch(recorded["input"]["stream"], "btmon"))
    sink.close()
    return read_lines("\n".join(lines))


def our_values(recorded: dict[str, Any]) -> dict[int, dict[Value, float]]:
    """Return the values that are written, by the time of their reading."""
    found: dict[int, dict[Value, float]] = {}
    for line in our_lines(recorded):
        values = {
            (line.measurement, frozenset(line.tags.items()), field): value for field, value in line.fields.items()
        }
        found.setdefault(line.time, {}).update(values)
    return found


def btmon_values(recorded: dict[str, Any]) -> dict[int, dict[Value, float]]:
    """Return the values that btmon wrote, by the time of the reading that they are of."""
    times = [reading.key for reading in recorded_batch(recorded["input"]["stream"]).readings]
    found: dict[int, dict[Value, float]] = {}
    for batch in (batch for one in recorded["passes"] for batch in one["batches"]):
        for call in batch["calls"]:
            if call[0] == "write_points" and call[1]:
                each = len(call[1]) // len(batch["readings"])
                for number, point in enumerate(call[1]):
                    of = found.setdefault(times[batch["readings"][number // each]], {})
                    of.update(values_of(point, call[2]["tags"], batch["serial"]))
    return found


def values_of(point: dict[str, Any], common: dict[str, str], serial: str) -> dict[Value, float]:
    """Return the values of a point of btmon's, with the tag for the meter that it lacked in mode row (F5)."""
    tags = {"serial": f"XXX{serial[-3:]}", **point.get("tags", {}), **common}
    return {(point["measurement"], frozenset(tags.items()), field): value for field, value in point["fields"].items()}


def label_of(what: Value, names: dict[str, str]) -> str:
    """Return the label of a value, whichever way its point is laid out; `names` are those of the map."""
    measurement, tags, field = what
    name = dict(tags).get("id") or (field if field != "value" else measurement.partition(".")[2])
    labels = {name: key.partition("_")[2] for key, name in names.items()}
    return labels.get(name) or name.removeprefix(f"{dict(tags)['serial']}_")


def differs(label: str, value: float | None, btmon: float) -> str:
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
    if value is None:
        return "B1" if label.startswith("t") and btmon == 0 else f"no {label}"
    if value == btmon:
        return "A4" if math.copysign(1, value) != math.copysign(1, btmon) else ""
    if math.isclose(value, btmon, rel_tol=1e-9, abs_tol=1e-8):
        return "A13"
    return "A1" if label.endswith("_w") and abs(value) < abs(btmon) else f"another {label}"


def differences(recorded: dict[str, Any]) -> set[str]:
    """Return the quirks by which what is written differs from what btmon wrote."""
    ours, names = our_values(recorded), pairs(recorded["options"].get("influxdb_map", ""))
    return {
        differs(label_of(what, names), ours[time].get(what), value)
        for time, values in btmon_values(recorded).items()
        for what, value in values.items()
    }


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_points_are_those_of_btmon(path: Path) -> None:
    """Every value that btmon wrote is written, in the same series; what differs is a known quirk, and no other."""
    assert differences(load(path)) <= {"", "A1", "A4", "A13", "B1"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_b4_nothing_else_is_written_but_the_channels_that_btmon_did_not_know(path: Path) -> None:
    """QUIRKS B4: beside what btmon wrote of a reading there are channels 33 to 48 of a GEM that are in use."""
    ours, expected = our_values(load(path)), btmon_values(load(path))
    more = {label_of(what, {}) for time, values in expected.items() for what in set(ours[time]) - set(values)}
    assert {label.partition("_")[0] for label in more} <= {f"ch{number}" for number in range(33, 49)}


def test_a1_the_net_power_is_written() -> None:
    """QUIRKS A1: the power of a channel that ran both ways is what flowed one way less what flowed the other."""
    recorded = recording("ecm1240bin_steady.dotted.ecmreadext")
    what = ("energy.ch2_w", frozenset({("serial", "XXX345")}), "value")
    ours, btmon = our_values(recorded), btmon_values(recorded)
    wrong = [time for time, values in btmon.items() if ours[time][what] != pytest.approx(values[what])]
    assert len(wrong) == 3
    assert all(abs(ours[time][what]) < btmon[time][what] for time in wrong)


def test_a4_a_channel_that_is_idle_has_no_negative_zero() -> None:
    """QUIRKS A4: the power of an idle channel is 0.0, not -0.0."""
    recorded = recording("gem48ptbin_steady.col.ecmreadext.include_current")
    assert "A4" in differences(recorded)
    assert not [
        line for line in our_lines(recorded) if math.copysign(1, line.fields["value"]) < 0 == line.fields["value"]
    ]


def test_b1_a_sensor_that_is_not_there_has_no_temperature() -> None:
    """QUIRKS B1: of a sensor that is missing nothing is written, where btmon wrote 0 degrees."""
    recorded = recording("gem48ptbin_steady.col.counters")
    missing = {
        label_of(what, {}) for values in btmon_values(recorded).values() for what, value in values.items() if value == 0
    }
    written = {line.tags["id"] for line in our_lines(recorded)}
    assert {label for label in missing if label.startswith("t")} - written


@pytest.mark.parametrize("mode", ["col", "row", "dotted"])
def test_f4_every_point_has_the_time_of_its_reading(mode: str) -> None:
    """QUIRKS F4: each reading's values are kept, where the server's own time left one of each batch."""
    times = {line.time for line in our_lines(recording(f"ecm1240bin_steady.{mode}.counters"))}
    assert times == {reading.key for reading in recorded_batch().readings}


def test_f5_mode_row_has_a_tag_for_the_meter_and_one_point_a_reading() -> None:
    """QUIRKS F5: the meter is a tag, so that no other meter's point replaces it; the fields are btmon's."""
    recorded = recording("ecm1240bin_steady.row.counters")
    lines = our_lines(recorded)
    assert [line.tags for line in lines] == [{"serial": "XXX345"}] * len(recorded_batch().readings)
    assert {"XXX345_volts", "XXX345_ch1_aws"} < set(lines[0].fields)


@pytest.mark.parametrize("value", ["table", "other"])
def test_f5_an_unknown_mode_or_schema_is_refused(value: str, tmp_path: Path) -> None:
    """QUIRKS F5: what is neither col, row nor dotted is a mistake in the configuration; btmon took it for row."""
    key = "mode" if value == "table" else "schema"
    with pytest.raises(ConfigurationError, match=key):
        sink_from_toml(tmp_path, f'[sink.influxdb]\ndatabase = "btmon"\n{key} = "{value}"\n')


def test_f6_a_map_chooses_what_is_written() -> None:
    """QUIRKS F6: with a map, the mapped values are written and no others, as btmon did for InfluxDB."""
    lines = our_lines(recording("ecm1240bin_steady.col.counters.map_tags"))
    assert {line.tags["id"] for line in lines} == {"mains", "solar", "line"}
    assert all({"site": "home", "room": "cellar"}.items() <= line.tags.items() for line in lines)


@pytest.mark.parametrize("schema", ["ecmread", "ecmreadext"])
@pytest.mark.parametrize("form", ["ecm1220bin", "ecm1240bin", "gem48ptbin"])
def test_g5_every_schema_of_every_format_has_measurements(form: str, schema: str) -> None:
    """QUIRKS G5: where btmon wrote nothing, or failed, there are volts, currents and power."""
    labels = {line.tags["id"] for line in our_lines(recording(f"{form}_steady.col.{schema}"))}
    assert {"volts", "ch1_a", "ch1_w"} <= labels
