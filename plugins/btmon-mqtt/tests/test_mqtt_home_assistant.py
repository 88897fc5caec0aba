# SPDX-License-Identifier: GPL-3.0-or-later
"""What Home Assistant is told of a house with solar panels: devices, entities, units, and states that never fall."""

import json
import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from operator import add
from typing import Any

import attrs
import pytest
from helpers.counter_readings import MORNING
from helpers.home_assistant import faults
from helpers.samplers import samples_between

from btcore import (
    FORMATS,
    Batch,
    ChannelDescription,
    ChannelRef,
    Context,
    Delivery,
    Duration,
    Number,
    Polarity,
    Reading,
    pack,
)
from btmon_mqtt.sink import Mqtt

GEM = "01000777"
HOUSE = {
    f"{GEM}_ch1": ChannelDescription(name="grid"),
    f"{GEM}_ch2": ChannelDescription(name="solar", area="Roof"),
    f"{GEM}_ch3": ChannelDescription(name="heat pump", area="Cellar"),
    f"{GEM}_p1": ChannelDescription(name="water", unit="L", per_pulse=0.5, class_="water"),
    f"{GEM}_p2": ChannelDescription(name="gas", unit="m³", per_pulse=0.01, class_="gas"),
    f"{GEM}_p3": ChannelDescription(name="meter", unit="kWh", per_pulse=0.001, class_="energy"),
    f"{GEM}_t1": ChannelDescription(name="attic"),
}
Configs = dict[str, dict[str, Any]]


def reading(seconds: int, form: str = "gem48pbin", serial: str = GEM, **more: Number) -> Reading:
    """Make a reading so many seconds after the morning: 500 W from the grid, 2000 W of sun, 100 W of a load, pulses."""
    values = {
        "secs": 1000 + seconds,
        "volts": 121.5,
        "ch1_aws": 1_000_000 + 600 * seconds,
        "ch1_pws": 500_000 + 100 * seconds,
        "ch2_aws": 5_000_000 + 2000 * seconds,
        "ch2_pws": 5_000_000 + 2000 * seconds,
        "ch4_aws": 36_000_000 + 100 * seconds,
        "p1": 100 + seconds // 10,
        "p2": 7,
        "p3": 1000,
        "t1": 21.5,
        "t2": 3.0,
        **more,
    }
    known = {label: value for label, value in values.items() if label in FORMATS[form].index}
    at = MORNING + timedelta(seconds=seconds)
    raw = pack(form, serial if serial.isdigit() else GEM, known)
    return Reading(at, FORMATS[form], serial, raw, offset=1000 + seconds, origin="recorded")


def batch_of(readings: Iterable[Reading], polarity: Polarity = "brultech") -> Batch:
    """Return readings with the samples between them."""
    found = list(readings)
    return Batch(tuple(found), tuple(samples_between(found, polarity)))


def make_context(channels: dict[str, ChannelDescription] | None = None, **more: Any) -> Context:  # noqa: ANN401 - any field
    """Return what the sink of this house is opened with."""
    known = HOUSE if channels is None else channels
    names = {key: one.name for key, one in known.items()}
    log = logging.getLogger("sink.ha")
    return Context("sink.ha", log, channels=names, channel_descriptions=known, dry_run=True, **more)


def told(batch: Batch, context: Context | None = None, **settings: Any) -> dict[str, list[str]]:  # noqa: ANN401 - any setting
    """Return what would be published of a batch, by topic."""
    sink = Mqtt(homeassistant=True, base_topic="energy", **settings)
    sink.open(context or make_context())
    found: dict[str, list[str]] = {}
    for line in sink.preview_batch(batch):
        topic, brace, payload = line.partition(" {")
        found.setdefault(topic, []).append(brace[1:] + payload)
    return found


def configs_of(found: dict[str, list[str]]) -> Configs:
    """Return the devices that are announced, by topic."""
    return {topic: json.loads(payloads[-1]) for topic, payloads in found.items() if topic.endswith("/config")}


def components_of(found: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Return the components of all devices, by key."""
    return {key: one for config in configs_of(found).values() for key, one in config["components"].items()}


TEN_SECONDS = batch_of([reading(0), reading(10)])


def test_a_house_is_what_home_assistant_takes() -> None:
    """Devices, entities, classes, units and identifiers are as its documentation has them."""
    assert list(faults(configs_of(told(TEN_SECONDS)))) == []
    assert list(faults(configs_of(told(TEN_SECONDS, unused="show", include_current=True, temperature_unit="F")))) == []


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_meter_is_what_home_assistant_takes(form: str) -> None:
    """Of every packet format all entities fit, used or not."""
    serial = "312345" if form.startswith("ecm") else GEM
    batch = batch_of([reading(0, form, serial), reading(10, form, serial)])
    found = told(batch, make_context({}), unused="show", include_current=True)
    assert list(faults(configs_of(found))) == []
    (state,) = found[f"energy/{serial}/state"]
    assert json.loads(state).keys() >= components_of(found).keys()


def test_one_device_a_meter_and_one_for_a_channel_with_an_area() -> None:
    """The meter has its model and serial number; a channel in an area is a device there, reached by the meter."""
    devices = {topic.split("/")[2]: config["device"] for topic, config in configs_of(told(TEN_SECONDS)).items()}
    assert devices == {
        "btcore_01000777": {
            "identifiers": ["btcore_01000777"],
            "name": "GreenEye Monitor 01000777",
            "manufacturer": "Brultech",
            "model": "GreenEye Monitor",
            "serial_number": GEM,
        },
        "btcore_01000777_ch2": {
            "identifiers": ["btcore_01000777_ch2"],
            "name": "solar",
            "suggested_area": "Roof",
            "via_device": "btcore_01000777",
        },
        "btcore_01000777_ch3": {
            "identifiers": ["btcore_01000777_ch3"],
            "name": "heat pump",
            "suggested_area": "Cellar",
            "via_device": "btcore_01000777",
        },
    }


def test_the_entities_of_a_house_are_named_and_counted_as_its_owner_does() -> None:
    """Names are those of [channels]; what flows one way has no entity for the other; pulses are what they stand for."""
    found = {key: one["name"] for key, one in components_of(told(TEN_SECONDS)).items()}
    assert found == {
        "volts": "voltage",
        "ch1_power": "grid power",
        "ch1_import": "grid energy imported",
        "ch1_export": "grid energy exported",
        "ch1_net": "grid energy net",
        "ch2_power": "power",
        "ch2_export": "energy exported",
        "ch2_net": "energy net",
        "ch3_power": "power",
        "ch3_import": "energy imported",
        "ch4_power": "ch4 power",
        "ch4_import": "ch4 energy imported",
        "p1": "water",
        "p2": "gas",
        "p3": "meter",
        "t1": "attic temperature",
        "t2": "t2 temperature",
    }


def test_an_entity_is_described_in_full() -> None:
    """This is all that Home Assistant is told of the energy that is fed in."""
    assert components_of(told(TEN_SECONDS))["ch1_export"] == {
        "platform": "sensor",
        "unique_id": "btcore_01000777_ch1_export",
        "default_entity_id": "sensor.btcore_01000777_ch1_export",
        "name": "grid energy exported",
        "value_template": "{{ value_json.ch1_export }}",
        "device_class": "energy",
        "state_class": "total_increasing",
        "unit_of_measurement": "kWh",
        "suggested_display_precision": 2,
        "expire_after": 300,
    }


@pytest.mark.parametrize("polarity", ["brultech", "btmon"])
def test_a_state_has_the_numbers_of_the_meter(polarity: Polarity) -> None:
    """Imported is what the house took, whichever sign power has; energies are kWh; pulses are litres."""
    context = make_context(polarity=polarity)
    found = told(batch_of([reading(0), reading(10)], polarity), context)
    (text,) = found["energy/01000777/state"]
    state = json.loads(text)
    sign = 1 if polarity == "brultech" else -1
    expected: dict[str, object] = {
        "time": "2026-06-21T06:00:10Z",
        "offset": 1010,
        "volts": 121.5,
        "ch1_power": 400.0 * sign,
        "ch1_import": round(505_000 / 3.6e6, 6),
        "ch1_export": round(501_000 / 3.6e6, 6),
        "ch2_power": -2000.0 * sign,
        "ch2_export": round(5_020_000 / 3.6e6, 6),
        "p1": 50.5,
        "p2": 0.07,
        "p3": 1.0,
        "t1": 21.5,
    }
    assert {key: state[key] for key in expected} == expected


def test_unused_entities_are_left_out_disabled_or_shown() -> None:
    """A GEM has 48 channels: what never measured anything is as `unused` says, and is there once it does."""
    hidden, disabled, shown = (components_of(told(TEN_SECONDS, unused=way)) for way in ("hide", "disable", "show"))
    assert "ch5_power" not in hidden
    assert disabled["ch5_power"]["enabled_by_default"] is False
    assert "enabled_by_default" not in disabled["ch4_power"]
    assert "enabled_by_default" not in shown["ch5_power"]
    later = batch_of([reading(0), reading(10), reading(20, ch5_aws=50)])
    assert "ch5_power" in components_of(told(later))


def test_a_state_has_what_is_announced_and_nothing_else() -> None:
    """Each entity finds its value in each state, null where there is none: Home Assistant warns of one without."""
    batch = batch_of([reading(0), reading(10), reading(20, t1=None)])
    for way in ("hide", "disable", "show"):
        found = told(batch, unused=way)
        (text,) = found["energy/01000777/state"]
        assert json.loads(text).keys() - components_of(found).keys() == {"time", "offset"}
    assert json.loads(text)["t1"] is None


def test_channels_choose_the_entities() -> None:
    """Of a channel that is not among `channels` there is nothing."""
    chosen = (ChannelRef(GEM, "ch1"), ChannelRef("", "p1"), ChannelRef(GEM, "ch2_w"))
    found = components_of(told(TEN_SECONDS, channels=chosen))
    assert {key.partition("_")[0] for key in found} == {"ch1", "ch2", "p1"}


def test_what_the_settings_call_things() -> None:
    """Templates name devices and entities; another prefix and shortened serial numbers are everywhere."""
    found = told(
        TEN_SECONDS,
        serials="short",
        discovery_prefix="ha",
        device_name="panel {serial}",
        entity_name="{serial} {channel} {quantity}",
    )
    config = configs_of(found)["ha/device/btcore_XXX777/config"]
    assert config["device"]["name"] == "panel XXX777"
    assert config["components"]["ch1_power"]["name"] == "XXX777 ch1 power"
    assert config["state_topic"] == "energy/XXX777/state"
    assert GEM not in json.dumps(found)


@pytest.mark.parametrize(
    ("interval", "delivery", "expected"),
    [
        (10, Delivery(), 300),
        (300, Delivery(), 1500),
        (10, Delivery(flush_interval=Duration(600)), 3060),
        (10, Delivery(max_calls_per_hour=6), 3060),
        (100, Delivery(min_call_interval=Duration(20)), 600),
    ],
)
def test_a_state_holds_for_some_of_the_meter_s_usual_intervals(
    interval: int, delivery: Delivery, expected: int
) -> None:
    """A meter that is silent becomes unavailable, and none does that is only as slow as ever."""
    batch = batch_of([reading(0), reading(interval), reading(2 * interval)])
    found = components_of(told(batch, make_context(delivery=delivery)))
    assert {one["expire_after"] for one in found.values()} == {expected}


def test_a_gap_does_not_make_a_meter_slow() -> None:
    """After a day without readings a meter is expected as often as before."""
    batch = batch_of([reading(0), reading(10), reading(86_410)])
    assert components_of(told(batch))["volts"]["expire_after"] == 300


def test_of_a_batch_home_assistant_gets_the_newest_state_alone() -> None:
    """What it had not heard for a day comes as one state, which has all the energy, and not as a day in a second."""
    found = told(batch_of(reading(10 * number) for number in range(50)))
    (state,) = found["energy/01000777/state"]
    assert json.loads(state)["time"] == "2026-06-21T06:08:10Z"


def test_the_first_state_of_a_meter_is_none_of_earlier_days(caplog: pytest.LogCaptureFixture) -> None:
    """A sink that is added to a journal of a month begins with the present: else that were energy of this hour."""
    caplog.set_level(logging.INFO)
    readings = [attrs.evolve(reading(10 * number), origin="") for number in range(4)]
    first, then = batch_of(readings[:2]), batch_of(readings[1:])
    for late, expected in ((299, 1), (301, 0)):
        sink = Mqtt(homeassistant=True, base_topic="energy")
        sink.open(make_context())
        assert sink._home_assistant
        sink._home_assistant.now = partial(add, readings[1].time, timedelta(seconds=late))
        assert len([line for line in sink.preview_batch(first) if "/state" in line.partition(" ")[0]]) == expected
        assert sink._home_assistant.wants(GEM)
        sink._home_assistant.now = lambda: readings[-1].time
        assert [line for line in sink.preview_batch(then) if "/state" in line.partition(" ")[0]]
    what = "Home Assistant gets its state when they are of the present"
    assert caplog.messages == [f"meter {GEM}: its readings are of 2026-06-21T06:00:10Z; {what}"]


def test_two_meters_are_two_devices() -> None:
    """Each has its topic, its states and its identifiers."""
    other = [reading(seconds, serial="01000888") for seconds in (0, 10)]
    found = told(batch_of([reading(0), other[0], reading(10), other[1]]))
    assert {"energy/01000777/state", "energy/01000888/state"} <= found.keys()
    assert list(faults(configs_of(found))) == []


def test_a_serial_number_of_another_make_is_fit_for_topics_and_identifiers() -> None:
    """Whatever a meter calls itself, Home Assistant takes it."""
    found = told(batch_of([reading(0, serial="my +meter/#1"), reading(10, serial="my +meter/#1")]), make_context({}))
    (config,) = configs_of(found).values()
    assert list(faults(configs_of(found))) == []
    assert (config["state_topic"], config["device"]["serial_number"]) == ("energy/my _meter__1/state", "my +meter/#1")
