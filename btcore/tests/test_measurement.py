# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample says of each channel and sensor."""

import pytest
from helpers.counter_readings import POLARITIES, Usage, reading_at, readings_after, sample_between

from btcore import FORMATS, Measurement, Polarity, measurements

NOTHING = dict.fromkeys(("secs", "ch1_aws", "ch1_pws", "ch2_aws", "ch2_pws", "aux1_ws"), 0)


@pytest.mark.parametrize("polarity", POLARITIES)
def test_import_and_export_are_the_same_whatever_the_sign(polarity: Polarity) -> None:
    """What is imported is the house's consumption with either polarity; only the sign of the power differs."""
    older, newer = readings_after(NOTHING, [Usage(10, ch1=(3_600, 7_200), aux1=36_000)])
    found = {one.channel: one for one in measurements(sample_between(older, newer, polarity), polarity)}
    sign = 1 if polarity == "brultech" else -1
    assert found["ch1"] == Measurement("ch1", 360 * sign, 0, sign, wh_import=2, wh_export=1)
    assert found["aux1"] == Measurement("aux1", 3600, None, 10, wh_import=10)


def test_sensors_have_a_value_and_nothing_else() -> None:
    """Temperatures and pulses of a GEM are there where a sensor is connected; volts and seconds are no sensors."""
    form = FORMATS["gem48ptbin"]
    values = {"t2": None, "t3": 21.5, "p1": 7, "volts": 120.0}
    sample = sample_between(reading_at(0, 0, form, **values), reading_at(10, 10, form, **values))
    sensors = [one for one in measurements(sample, "brultech") if one.value is not None]
    assert [one.channel for one in sensors] == ["p1", "p2", "p3", "p4", "t1", "t3", "t4", "t5", "t6", "t7", "t8"]
    assert sensors[5] == Measurement("t3", value=21.5)
    assert [one.channel for one in sensors if one.watts is not None] == []
