# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample says for each metric."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.metered import batch_of, readings
from hypothesis import given
from hypothesis import strategies as st

from btcore import ChannelRef, Polarity, Reading, Sample
from btcore.config.load import load_site
from btcore.serve import Labels
from btmon_prometheus.series import METRICS, Selection, TemperatureUnit

HERE = Path(__file__).parents[1]


def selection(
    channels: Sequence[ChannelRef] = (), polarity: Polarity = "brultech", unit: TemperatureUnit = "celsius"
) -> Selection:
    """Select channels, which are called by meter and channel."""
    return Selection(
        channels=channels,
        meter_name=lambda serial: f"m{serial}",
        channel_name=lambda serial, channel: f"{serial} {channel}",
        polarity=polarity,
        temperature_unit=unit,
    )


def numbers(of: Selection, sample: Sample) -> dict[tuple[str, str], float]:
    """Return the points of a sample by metric and channel."""
    return {(point.metric.name, dict(point.labels).get("channel", "")): point.value for point in of.points(sample)}


def last_sample(form: str = "ecm1240bin", polarity: Polarity = "brultech") -> Sample:
    """Return the sample of the third reading of a meter."""
    return batch_of(readings(3, form=form), polarity).samples[-1]


@pytest.mark.parametrize("polarity", ["brultech", "btmon"])
def test_energy_is_in_joules_and_each_direction_by_itself(polarity: Polarity) -> None:
    """As whole watt-seconds, whatever the polarity; power has the sign of the polarity."""
    found = numbers(selection(polarity=polarity), last_sample(polarity=polarity))
    assert found["imported_joules_total", "ch1"] == 20_000
    assert found["exported_joules_total", "ch1"] == 5_000
    assert found["power_watts", "ch1"] == (750 if polarity == "brultech" else -750)
    assert found["imported_joules_total", "aux1"] == 4_000
    assert ("exported_joules_total", "aux1") not in found
    assert found["voltage_volts", ""] == 120
    assert found["current_amperes", "ch1"] == 0
    assert found["sample_timestamp_seconds", ""] == 1_700_000_020


def showing(reading: Reading, **values: Any) -> Reading:  # noqa: ANN401 - numbers
    """Return a reading that shows these numbers, and zeros for all else."""
    return attrs.evolve(reading, raw=b"", numbers=tuple(values.get(label, 0) for label in reading.format.labels))


@given(st.integers(0, (1 << 40) - 1))
def test_a_joule_is_what_the_meter_counted(ws: int) -> None:
    """However large a counter is, calculating in watt-hours between leaves no fraction of a joule."""
    older, newer = readings(2)
    rose = showing(newer, secs=10, ch1_aws=ws)
    (sample,) = batch_of([showing(older, secs=0, ch1_aws=max(ws - 10_000, 0)), rose]).samples
    assert numbers(selection(), sample)["imported_joules_total", "ch1"] == ws


@pytest.mark.parametrize(("unit", "celsius"), [("celsius", 21.5), ("fahrenheit", -5.833333)])
def test_temperatures_are_in_degrees_celsius(unit: TemperatureUnit, celsius: float) -> None:
    """Whatever the meter is set to; pulses are a counter."""
    found = numbers(selection(unit=unit), last_sample("gem48ptbin"))
    assert found["temperature_celsius", "t1"] == pytest.approx(celsius)
    assert found["pulses_total", "p1"] == 2


def test_only_the_channels_that_are_wanted_are_there() -> None:
    """Those of one meter, and those of any; nothing at all of a meter that has none of them."""
    sample = last_sample("gem48ptbin")
    found = numbers(selection([ChannelRef("312345", "ch2"), ChannelRef("", "t1")]), sample)
    assert {channel for _, channel in found} == {"ch2", "t1", ""}
    assert ("voltage_volts", "") not in found
    assert selection([ChannelRef("420467", "ch1")]).points(sample) == []


def test_a_series_has_meter_channel_and_name() -> None:
    """As its labels, in this order."""
    labels: set[Labels] = {point.labels for point in selection().points(last_sample())}
    assert (("meter", "m312345"), ("channel", "ch2"), ("name", "312345 ch2")) in labels
    assert (("meter", "m312345"),) in labels


def test_counters_are_called_as_prometheus_asks() -> None:
    """A counter's name ends with _total, no other does."""
    assert [metric for metric in METRICS if (metric.kind == "counter") != metric.name.endswith("_total")] == []


def test_the_sample_is_a_configuration_and_the_readme_shows_it(tmp_path: Path) -> None:
    """Both plugins of the package are in it, and the README has each metric."""
    sample, readme = ((HERE / name).read_text("utf-8") for name in ("sample.toml", "README.md"))
    assert f"```toml\n{sample}```" in readme
    (tmp_path / "site.toml").write_text(f'state = "."\n[source.tcp-server]\n{sample}')
    plugins = [sink.plugin for sink in load_site(tmp_path / "site.toml").sinks]
    assert plugins == ["prometheus", "prometheus-remote-write"]
    assert [metric.name for metric in METRICS if f"| `energy_{metric.name}` |" not in readme] == []
