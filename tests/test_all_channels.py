# SPDX-License-Identifier: GPL-3.0-or-later
"""A GEM has 48 channels: no sink leaves out one that has moved, whatever btmon did (QUIRKS B4)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.configured_sink import sink_from_toml
from helpers.hosted_services import SERVICES
from helpers.plugin_calls import make_context

from btcore import FORMATS, Batch, Duration, Reading, Sample, pack
from btcore.calculate.samples import between

METER = "01021234"
INFLUXDB = 'url = "http://localhost:8086"\ndatabase = "d"\n'

TABLES = {
    "influxdb": [INFLUXDB, *(f'{INFLUXDB}schema = "counters"\nmode = "{mode}"\n' for mode in ("row", "col", "dotted"))],
    "mqtt": ['host = "h"\n', 'host = "h"\njson = true\n'],
    "mysql": ['host = "h"\nuser = "u"\npassword = "p"\ndatabase = "d"\n'],
    "pipe-file": ['dir = "d"\n', 'dir = "d"\nformat = "csv"\n'],
    "pipe-program": ['command = ["cat"]\n'],
    "pipe-socket": ['path = "/tmp/s"\n'],
    "pipe-webhook": ['url = "http://localhost/"\ntoken = "t"\n'],
    "print": [""],
    "prometheus": [""],
    "prometheus-remote-write": ['url = "http://localhost/"\n'],
    "rrd": ['dir = "d"\n', 'dir = "d"\nstore = "power"\n'],
    "sql": ['url = "postgresql://u@localhost/d"\n'],
    "sqlite": [f'file = "d"\nschema = "{schema}"\n' for schema in ("counters", "ecmread", "ecmreadext", "samples")],
}
"""Tables of the sinks that take all channels; those of hosted services are tried in btmon-services."""

CHOSEN = {"pvoutput"}
"""Sinks that take the channels that a person names."""

WITHOUT_PREVIEW = {"dashboard", "home-assistant", "nats", "tee"}
"""Sinks whose own tests look at channels above 32: what they keep or pass on is not shown line by line."""


def hour() -> Batch:
    """Make an interval of a GEM of which channels 40 and 48 have moved, and 47 has not."""
    counted = {"ch1_aws": 36_000, "ch40_aws": 36_000, "ch48_aws": 36_000, "ch48_pws": 36_000}
    readings = [
        Reading(
            datetime.fromtimestamp(1_700_000_000 + secs, UTC),
            FORMATS["gem48ptbin"],
            METER,
            pack("gem48ptbin", METER, {"secs": secs, "volts": 120, **values}),
            offset=secs + 1,
        )
        for secs, values in ((0, {}), (3600, counted))
    ]
    sample = between(readings[0], readings[1])
    assert isinstance(sample, Sample)
    return Batch((readings[1],), (sample,))


def preview(folder: Path, table: str, interval: int = 0) -> Iterable[str]:
    """Return what a sink would send of the interval."""
    sink: Any = sink_from_toml(folder, table).instance
    sink.open(attrs.evolve(make_context(dry_run=True), interval=Duration(interval), polarity="brultech"))
    try:
        yield from sink.preview_batch(hour())
    finally:
        getattr(sink, "close", lambda: None)()


@pytest.mark.parametrize(("plugin", "table"), [(plugin, table) for plugin, some in TABLES.items() for table in some])
def test_each_channel_that_moved_is_there(plugin: str, table: str, tmp_path: Path) -> None:
    """Channels 40 and 48 are sent or stored as channel 1 is; channel 47, which never moved, is not."""
    lines = " ".join(preview(tmp_path, f'[sink.x]\nuse = "{plugin}"\n{table}'))
    assert {1, 40, 47, 48} & {int(number) for number in re.findall(r"(?i)ch0?(\d+)", lines)} == {1, 40, 48}


def test_a_channel_above_32_may_be_chosen(tmp_path: Path) -> None:
    """PVOutput is sent the energy and the power of any channel."""
    keys = f'api_key = "k"\nsystem_id = "1"\ngeneration = "{METER}_ch48"\nconsumption = "{METER}_ch40"\n'
    (line,) = preview(tmp_path, f'[sink.x]\nuse = "pvoutput"\n{keys}', interval=300)
    assert {"v1=10", "v2=10", "v3=10", "v4=10"} <= set(line.split("&"))


def test_no_sink_is_left_out() -> None:
    """Every sink of this workspace is tried: here, or as a hosted service."""
    plugins = {one.name: one.load() for one in entry_points(group="btcore.plugins") if one.module.startswith("btmon_")}
    sinks = {name for name, plugin in plugins.items() if hasattr(plugin, "process_batch")}
    assert sinks - SERVICES.keys() - CHOSEN - WITHOUT_PREVIEW == TABLES.keys()
