# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample and a reading are as lines, and how lines that are there are recognised."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from helpers.metered import START, batch_of, readings
from hypothesis import given
from hypothesis import strategies as st

from btcore import ChannelRef, Polarity
from btmon_pipe.records import COLUMNS, LAYOUTS, Content, Form, Record, Recorder


def recorder(
    form: Form = "json",
    content: Content = "samples",
    channels: Sequence[ChannelRef] = (),
    polarity: Polarity = "brultech",
    name: str = "",
) -> Recorder:
    """Make a recorder that calls meters by their numbers."""
    return Recorder(
        form=form,
        content=content,
        channels=channels,
        meter_name=str,
        channel_name=lambda serial, channel: name or f"{serial}_{channel}",
        polarity=polarity,
    )


def parse(record: Record) -> Any:  # noqa: ANN401 - JSON
    """Read a record of JSON, which is one line."""
    (row,) = record.rows
    assert row.line.endswith(b"\n")
    assert row.line.count(b"\n") == 1
    return json.loads(row.line)


BATCH = batch_of(readings(3))
GEM = batch_of(readings(3, form="gem48ptbin"))


def test_a_sample_is_an_object_with_its_channels() -> None:
    """Power, the energy of the interval, and the lifetime energy of each direction."""
    first, _ = recorder().records(BATCH)
    found = parse(first)
    assert {name: found[name] for name in ("meter", "key", "time", "seconds", "reset", "volts")} == {
        "meter": "312345",
        "key": (START + 10) * 1_000_000,
        "time": "2023-11-14T22:13:30Z",
        "seconds": 10,
        "reset": False,
        "volts": 120.0,
    }
    assert found["channels"]["ch1"] == {
        "name": "312345_ch1",
        "watts": 750.0,
        "amps": 0.0,
        "wh_delta": 2.083333,
        "wh_import": 2.777778,
        "wh_export": 0.694444,
    }
    assert found["channels"]["aux1"]["wh_export"] is None


def test_sensors_are_by_themselves() -> None:
    """Temperatures and pulses, by their labels."""
    found = parse(recorder().records(GEM)[-1])
    assert found["sensors"]["t1"] == {"name": "312345_t1", "value": 21.5}
    assert found["sensors"]["p1"]["value"] == 2
    assert len(found["channels"]) == 32


def test_a_reading_is_all_that_the_meter_sent() -> None:
    """By label, with the time at which it came in."""
    first, *rest = recorder(content="readings").records(BATCH)
    found = parse(first)
    assert (found["meter"], found["key"], found["values"]["secs"]) == ("312345", START * 1_000_000, 0)
    assert found["values"].keys() == set(BATCH.readings[0].format.labels)
    assert len(rest) == 2


def test_csv_has_a_row_for_each_channel_and_sensor() -> None:
    """Under the names of its columns; what is not known is empty."""
    header = LAYOUTS["csv"].header.decode()
    record = recorder("csv", name='Küche, "oben"').records(GEM)[-1]
    rows = list(csv.DictReader(io.StringIO(header + b"".join(row.line for row in record.rows).decode())))
    assert tuple(rows[0]) == COLUMNS
    by_channel = {row["channel"]: row for row in rows}
    assert by_channel["ch1"]["watts"] == "750.0"
    assert by_channel["ch1"]["name"] == 'Küche, "oben"'
    assert (by_channel["t1"]["value"], by_channel["t1"]["watts"]) == ("21.5", "")
    assert len(rows) == 32 + 4 + 1


@pytest.mark.parametrize("form", ["json", "csv"])
@given(
    serial=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_every_line_is_one_line_and_is_recognised(form: Form, serial: str, name: str) -> None:
    """Whatever meters and channels are called, quotes, commas and line breaks among it."""
    batch = batch_of(readings(2))
    renamed = attrs.evolve(recorder(form, name=name), meter_name=lambda _: serial)
    (record,) = renamed.records(batch)
    for row in record.rows:
        assert row.line.count(b"\n") == 1
        assert b"\r" not in row.line
        assert LAYOUTS[form].identify(row.line) == (row.record, row.part)
    assert len({(row.record, row.part) for row in record.rows}) == len(record.rows)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_two_samples_are_never_taken_for_one(form: Form) -> None:
    """Neither two of one meter, nor those of two meters at one time."""
    other = batch_of(readings(3, serial="420467"))
    found = [record for batch in (BATCH, other) for record in recorder(form).records(batch)]
    assert len({record.rows[0].record for record in found}) == 4


def test_only_the_channels_that_are_wanted_are_there() -> None:
    """Of a reading, all numbers of the channel; nothing of a meter that has none of them."""
    wanted = [ChannelRef("312345", "ch2")]
    assert set(parse(recorder(channels=wanted).records(BATCH)[0])["channels"]) == {"ch2"}
    values = parse(recorder(content="readings", channels=wanted).records(BATCH)[0])["values"]
    assert set(values) == {"ch2_aws", "ch2_pws", "ch2_a"}
    assert recorder(channels=[ChannelRef("420467", "ch1")]).records(BATCH) == []


def test_what_json_has_no_word_for_is_null() -> None:
    """Power that is not known, as after a restart of the meter, too."""
    sample = attrs.evolve(BATCH.samples[0], calculate=lambda: {"ch1_w": None, "ch2_w": float("nan"), "aux1_w": -0.0})
    (record,) = recorder().records(attrs.evolve(BATCH, samples=(sample,)))
    channels = parse(record)["channels"]
    assert [channels[name]["watts"] for name in ("ch1", "ch2", "aux1")] == [None, None, 0]
    assert b"-0.0" not in record.rows[0].line
