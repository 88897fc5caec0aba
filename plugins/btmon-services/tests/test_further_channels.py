# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels 33 to 48 of a GEM, which btmon left out (QUIRKS B4): a service that gets all channels gets them too."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.configured_sink import sink_from_toml
from helpers.plugin_calls import preview_batches

from btcore import FORMATS, Batch, Channel, Format, Reading, Sample, pack
from btcore.calculate.samples import between
from btmon_services.selection import default_channels

TABLES = {
    "emoncms": 'url = "http://127.0.0.1:9"\ntoken = "KEY"\ninclude_current = true\n',
    "eragy": 'url = "http://127.0.0.1:9"\ngateway_id = "1"\ntoken = "KEY"\n',
    "enersave": 'url = "http://127.0.0.1:9"\ntoken = "KEY"\n',
    "smartenergygroups": 'url = "http://127.0.0.1:9"\ntoken = "KEY"\n',
    "xively": 'url = "http://127.0.0.1:9"\nfeed = "1"\ntoken = "KEY"\n',
}
"""The services that get all channels where there is no map."""


def gem(**counters: int) -> Sample:
    """Make ten seconds of a GEM that has counted so much in the end."""
    readings = [
        Reading(
            datetime.fromtimestamp(1_700_000_000 + secs, UTC),
            FORMATS["gem48ptbin"],
            "01021234",
            pack("gem48ptbin", "01021234", {"secs": secs, "volts": 120, **values}),
        )
        for secs, values in ((0, {}), (10, counters))
    ]
    made = between(readings[0], readings[1])
    assert isinstance(made, Sample)
    return made


def target(folder: Path, table: str, sample: Sample) -> set[str]:
    """Return the channels that a service is told of a sample, in whatever form."""
    lines = preview_batches(sink_from_toml(folder, table).instance, [Batch((sample.newer,), (sample,))])
    return set(re.findall(r"ch\d+", " ".join(lines)))


@pytest.mark.parametrize("service", TABLES)
def test_a_further_channel_is_sent_once_it_has_moved(service: str, tmp_path: Path) -> None:
    """The first 32 channels are sent from the start, one beyond only when it has counted, and no other."""
    table = f"[sink.{service}]\n{TABLES[service]}"
    usual = {f"ch{number}" for number in range(1, 33)}
    assert target(tmp_path, table, gem(ch1_aws=3600)) == usual
    assert target(tmp_path, table, gem(ch1_aws=3600, ch40_aws=3600)) == usual | {"ch40"}


def test_thingspeak_s_first_eight_are_the_same(tmp_path: Path) -> None:
    """What is sent where nobody chose are the first eight, whatever else has moved."""
    table = '[sink.thingspeak]\nurl = "http://127.0.0.1:9"\ntokens = { "01021234" = "KEY" }\n'
    instance = sink_from_toml(tmp_path, table).instance
    before, after = (
        preview_batches(instance, [Batch((one.newer,), (one,))])
        for one in (gem(ch8_aws=72), gem(ch8_aws=72, ch33_aws=360))
    )
    assert before == after
    assert "field8=7.20" in after[0]


def test_a_meter_of_another_make_is_not_cut(tmp_path: Path) -> None:
    """All channels of a meter that btmon did not know are sent, however many; those without a direction last."""
    names = [f"c{number}" for number in range(40)]
    form = Format(
        "many",
        ("secs", "main_ws", *(f"{name}_ws" for name in names)),
        (Channel("main", "main_ws", directional=False), *(Channel(name, f"{name}_ws") for name in names)),
        unpack=lambda raw: (raw[0], *range(41)),
    )
    readings = [Reading(datetime.fromtimestamp(10 * n, UTC), form, "4242", bytes([10 * n])) for n in (1, 2)]
    sample = between(readings[0], readings[1])
    assert isinstance(sample, Sample)
    assert default_channels(sample) == [*names, "main"]
    (line,) = preview_batches(
        sink_from_toml(tmp_path, f"[sink.eragy]\n{TABLES['eragy']}").instance, [Batch((sample.newer,), (sample,))]
    )
    assert re.findall(r"XXX242_(\w+)", line) == [*names, "main"]
