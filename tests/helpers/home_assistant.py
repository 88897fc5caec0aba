# SPDX-License-Identifier: GPL-3.0-or-later
"""What Home Assistant takes, as its documentation has it: its own package is too large for a test.

https://www.home-assistant.io/integrations/mqtt (device discovery), /integrations/sensor.mqtt (keys of a sensor),
https://developers.home-assistant.io/docs/core/entity/sensor (device classes, their units and state classes).
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

VOLUME = {"CCF", "ft³", "L", "m³", "MCF"}
UNITS: Mapping[str, set[str]] = {
    "current": {"A", "mA"},
    "energy": {"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal", "Gcal"},
    "gas": VOLUME,
    "power": {"mW", "W", "kW", "MW", "GW", "TW"},
    "temperature": {"°C", "°F", "K"},
    "voltage": {"V", "mV", "µV", "kV", "MV"},
    "water": VOLUME | {"gal"},
}
"""The units of each device class."""

TOTALS = {"total", "total_increasing"}
STATE_CLASSES: Mapping[str, set[str]] = {
    **dict.fromkeys(("energy", "gas", "water"), TOTALS),
    **{name: {"measurement"} for name in ("current", "power", "temperature", "voltage")},
}
"""The state classes with which each device class makes statistics."""

DEVICE = {"identifiers", "name", "manufacturer", "model", "serial_number", "sw_version", "suggested_area", "via_device"}
CONFIG = {"device", "origin", "components", "state_topic", "availability_topic", "qos"}
SENSOR = {
    *("platform", "unique_id", "default_entity_id", "name", "value_template", "device_class", "state_class"),
    *("unit_of_measurement", "suggested_display_precision", "expire_after", "enabled_by_default"),
}


def faults(configs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what Home Assistant would not take of devices by their topics, or would take with a warning."""
    ids = [one["unique_id"] for config in configs.values() for one in config["components"].values()]
    if len(set(ids)) < len(ids):
        yield "a unique_id is there twice"
    known = {name for config in configs.values() for name in config["device"]["identifiers"]}
    for topic, config in configs.items():
        if not re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic):
            yield f"{topic} is no discovery topic"
        yield from _unknown(topic, config, CONFIG)
        yield from _unknown(topic, config["device"], DEVICE)
        if not config["origin"]["name"] or not config["device"]["name"]:
            yield f"{topic} has no name"
        if config["device"].get("via_device", topic) not in known | {topic}:
            yield f"{topic} is reached by a device that there is not"
        for key, component in config["components"].items():
            yield from (f"{key}: {fault}" for fault in _sensor_faults(component))


def _unknown(where: str, table: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    yield from (f"{where}: {key} is unknown" for key in table.keys() - known)


def _sensor_faults(sensor: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("sensor", sensor, SENSOR)
    device_class, unit = sensor.get("device_class"), sensor.get("unit_of_measurement")
    if sensor["platform"] != "sensor":
        yield f"its platform is {sensor['platform']}"
    if device_class is not None and unit not in UNITS[device_class]:
        yield f"{unit} is no unit of {device_class}"
    if device_class is not None and sensor["state_class"] not in STATE_CLASSES[device_class]:
        yield f"{device_class} has no state class {sensor['state_class']}"
    if sensor["state_class"] not in TOTALS | {"measurement"}:
        yield f"{sensor['state_class']} is no state class"
    if not re.fullmatch(r"sensor\.[a-z0-9]+(_[a-z0-9]+)*", sensor["default_entity_id"]):
        yield f"{sensor['default_entity_id']} is no entity id"
    if not re.fullmatch(r"\{\{ value_json\.\w+ \}\}", sensor["value_template"]):
        yield f"{sensor['value_template']} is no template"


def statistics(states: list[dict[str, Any]], key: str) -> list[float]:
    """Return the steps of the sum that Home Assistant makes of the states of a `total_increasing` sensor.

    A state that is lower than nine tenths of the last is a new meter, which begins at zero; a lower one else is a
    negative step, with a warning.
    """
    known = [state[key] for state in states if state.get(key) is not None]
    return [after if after < 0.9 * before else after - before for before, after in pairwise(known)]
