# SPDX-License-Identifier: GPL-3.0-or-later
"""Each server has every point once, whatever becomes of it meanwhile; what needs a person is one clear line."""

import logging
from collections.abc import Callable

import pytest
from helpers.influxdb_sinks import recorded_batch, settings_for
from helpers.line_protocol import read_lines
from servers.influxdb_api import InfluxDB2
from servers.time_series_servers import InfluxDB, VictoriaMetrics

from btcore import Batch, Context, Polarity
from btmon_influxdb.sink import InfluxDB as Sink

Opened = Callable[..., Sink]
CHANNELS = {"312345_ch1": "Heat pump, cellar"}
LOG = logging.getLogger("sink.test")


def watts(batch: Batch, channel: str = "ch1") -> list[float]:
    """Return the power of a channel in a batch."""
    return [float(sample.get(f"{channel}_w") or 0.0) for sample in batch.samples]


@pytest.mark.servers
def test_influxdb_1_has_every_sample(influxdb: InfluxDB, house: str, opened: Opened) -> None:
    """The database is created, and each channel has power and both energies at the time of each reading, once."""
    batch = recorded_batch()
    sink = opened(**settings_for(influxdb), context=Context("sink.test", LOG, channels=CHANNELS))
    assert sink.process_batch(batch) == len(batch.samples)
    sink.process_batch(batch)
    (series,) = influxdb.query("SELECT * FROM energy WHERE channel = 'ch1'", house)
    rows = [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
    assert [row["time"] for row in rows] == [sample.newer.key for sample in batch.samples]
    assert [row["watts"] for row in rows] == pytest.approx(watts(batch))
    assert [row["wh_import"] for row in rows] == pytest.approx([one.get("ch1_pwh_total") for one in batch.samples])
    assert [row["wh_export"] for row in rows] == pytest.approx([one.get("ch1_nwh_total") for one in batch.samples])
    assert {(row["serial"], row["name"]) for row in rows} == {("312345", "Heat pump, cellar")}


@pytest.mark.servers
def test_victoriametrics_has_every_sample(victoria: VictoriaMetrics, opened: Opened) -> None:
    """Power is `energy_watts`, with meter, channel and name as labels, at the time of each reading."""
    batch = recorded_batch()
    sink = opened(**settings_for(victoria, database="all", tags={"site": "hill"}))
    assert sink.process_batch(batch) == len(batch.samples)
    (found,) = victoria.export('{__name__="energy_watts",channel="ch1",db="all"}')
    assert found["metric"].items() >= {"serial": "312345", "site": "hill", "name": "312345_ch1"}.items()
    assert found["timestamps"] == [sample.newer.key // 1000 for sample in batch.samples]
    assert found["values"] == pytest.approx(watts(batch))


@pytest.mark.parametrize("kind", ["influxdb2", "influxdb3"])
def test_influxdb_2_and_3_have_every_sample(kind: str, opened: Opened, request: pytest.FixtureRequest) -> None:
    """The documented pages are given all points, compressed, with the token."""
    server, batch = request.getfixturevalue(kind), recorded_batch()
    assert opened(**settings_for(server)).process_batch(batch) == len(batch.samples)
    of_ch1 = {time: fields["watts"] for (_, tags, time), fields in server.points.items() if ("channel", "ch1") in tags}
    assert of_ch1 == {sample.newer.key: pytest.approx(sample.get("ch1_w")) for sample in batch.samples}
    assert {one.headers["content-encoding"] for one in server.requests} == {"gzip"}


@pytest.mark.parametrize(("schema", "mode"), [("counters", "col"), ("ecmreadext", "row"), ("ecmread", "dotted")])
@pytest.mark.servers
def test_the_layouts_of_btmon_are_taken(schema: str, mode: str, influxdb: InfluxDB, house: str, opened: Opened) -> None:
    """What a real server has is what a dry run shows."""
    batch = recorded_batch("gem48ptbin_steady")
    sink = opened(**settings_for(influxdb, schema=schema, mode=mode))
    sink.process_batch(batch)
    shown = {
        (line.measurement, tuple(sorted(line.tags.items())), line.time, field, value)
        for line in read_lines("\n".join(sink.preview_batch(batch)))
        for field, value in line.fields.items()
    }
    assert influxdb.points(house) == shown


@pytest.mark.servers
def test_every_field_is_a_float(influxdb: InfluxDB, house: str, opened: Opened) -> None:
    """Counters and pulses too, so that no later value is of another type than the first."""
    for schema in ("samples", "counters"):
        opened(**settings_for(influxdb, schema=schema)).process_batch(recorded_batch("gem48ptbin_steady"))
    types = {row[1] for series in influxdb.query("SHOW FIELD KEYS", house) for row in series["values"]}
    assert types == {"float"}


def test_sensors_and_volts_have_points_of_their_own(opened: Opened, influxdb2: InfluxDB2) -> None:
    """The voltage, temperatures and pulses are channels too; `include_current` adds amperes."""
    opened(**settings_for(influxdb2, include_current=True)).process_batch(recorded_batch("gem48ptbin_steady"))
    fields = {dict(tags)["channel"]: set(found) for (_, tags, _), found in influxdb2.points.items()}
    assert fields["ch1"] == {"watts", "wh_import", "wh_export", "amps"}
    assert (fields["volts"], fields["p1"]) == ({"volts"}, {"value"})


def test_polarity_does_not_change_what_is_imported(opened: Opened, influxdb2: InfluxDB2) -> None:
    """With btmon's polarity power changes its sign; the energies stay what they are."""
    polarities: list[Polarity] = ["brultech", "btmon"]
    for polarity in polarities:
        context = Context("sink.test", LOG, polarity=polarity)
        sink = opened(**settings_for(influxdb2, measurement=polarity), context=context)
        sink.process_batch(recorded_batch("ecm1240bin_steady", polarity))
    by_field = {
        (name, field): [
            fields[field] for (one, _, _), fields in influxdb2.points.items() if one == name and field in fields
        ]
        for name in ("brultech", "btmon")
        for field in ("watts", "wh_import", "wh_export")
    }
    assert by_field["brultech", "wh_import"] == pytest.approx(by_field["btmon", "wh_import"])
    assert by_field["brultech", "wh_export"] == pytest.approx(by_field["btmon", "wh_export"])
    assert by_field["brultech", "watts"] != pytest.approx(by_field["btmon", "watts"])
