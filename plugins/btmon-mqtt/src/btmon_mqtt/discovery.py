# SPDX-License-Identifier: GPL-3.0-or-later
"""What Home Assistant is told of a meter: a device with its components, as JSON for its discovery topic. Pure.

One device a meter; a channel with an area of its own is a device of its own, as Home Assistant has areas for devices
only. When it is told, and what it is told that is gone, belongs to `home_assistant.py`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from btcore import FORMATS, Sample, __version__
from btmon_mqtt.entities import Describe, Entity
from btmon_mqtt.topics import identifier

Unused = Literal["hide", "disable", "show"]
"""The type of the setting `unused`: what becomes of entities that have never measured anything."""

ORIGIN = "btcore"

MODELS = (("ecm1220", "ECM-1220"), ("ecm1240", "ECM-1240"), ("gem", "GreenEye Monitor"))
"""What a meter is called, by how the name of its packet format begins."""

Config = dict[str, Any]
"""The JSON of a device."""


def model_of(sample: Sample) -> str:
    """Return what a sample's meter is called; of another make than Brultech's, the name of its packet format."""
    name = sample.format.name
    if name not in FORMATS:
        return name
    return next((model for start, model in MODELS if name.startswith(start)), name)


@attrs.frozen(kw_only=True)
class Discovery:
    """How devices and entities are called, and where their states and their availability are."""

    prefix: str
    status_topic: str
    qos: int
    describe: Describe
    device_name: str
    entity_name: str
    unused: Unused = "hide"

    def configs(
        self, sample: Sample, serial: str, entities: Iterable[tuple[Entity, bool]], state_topic: str, expire_after: int
    ) -> dict[str, Config]:
        """Return the devices of a meter by their topics; the meter itself first.

        `serial` is how the meter is named; `entities` are those to announce, each with whether it is used.
        """
        groups: dict[str, list[tuple[Entity, bool]]] = {"": []}
        for entity, is_used in entities:
            area = self.describe(sample.serial, entity.channel).area
            groups.setdefault(entity.channel if area else "", []).append((entity, is_used))
        return {
            self.topic(serial, channel): {
                "device": self._device(sample, serial, channel),
                "origin": {"name": ORIGIN, "sw_version": __version__},
                "state_topic": state_topic,
                "availability_topic": self.status_topic,
                "qos": self.qos,
                "components": {
                    entity.key: self._component(sample, serial, entity, expire_after, channel, is_used=is_used)
                    for entity, is_used in group
                },
            }
            for channel, group in groups.items()
        }

    def topic(self, serial: str, channel: str = "") -> str:
        """Return the discovery topic of a meter, or of a channel that is a device of its own."""
        return f"{self.prefix}/device/{_device_id(serial, channel)}/config"

    def is_ours(self, config: Config) -> bool:
        """Whether a device was announced by this sink, now or in an earlier run."""
        origin = config.get("origin")
        is_btcore = isinstance(origin, Mapping) and origin.get("name") == ORIGIN
        return is_btcore and config.get("availability_topic") == self.status_topic

    def _device(self, sample: Sample, serial: str, channel: str) -> Config:
        if channel:
            description = self.describe(sample.serial, channel)
            return {
                "identifiers": [_device_id(serial, channel)],
                "name": description.name,
                "suggested_area": description.area,
                "via_device": _device_id(serial),
            }
        model = model_of(sample)
        maker = {"manufacturer": "Brultech"} if sample.format.name in FORMATS else {}
        name = self.device_name.format(serial=serial, model=model)
        return {"identifiers": [_device_id(serial)], "name": name, **maker, "model": model, "serial_number": serial}

    def _component(
        self, sample: Sample, serial: str, entity: Entity, expire_after: int, device: str, *, is_used: bool
    ) -> Config:
        unique_id = f"{_device_id(serial)}_{entity.key}"
        return {
            "platform": "sensor",
            "unique_id": unique_id,
            "default_entity_id": f"sensor.{_slug(unique_id)}",
            "name": self._name(sample, serial, entity, device),
            "value_template": f"{{{{ value_json.{entity.key} }}}}",
            "state_class": entity.state_class,
            "expire_after": expire_after,
            **({"device_class": entity.device_class} if entity.device_class else {}),
            **({"unit_of_measurement": entity.unit} if entity.unit else {}),
            **({} if entity.precision is None else {"suggested_display_precision": entity.precision}),
            **({} if is_used or self.unused == "show" else {"enabled_by_default": False}),
        }

    def _name(self, sample: Sample, serial: str, entity: Entity, device: str) -> str | None:
        """Return the name of an entity, without what its device is called already; None where nothing is left."""
        name = self.describe(sample.serial, entity.channel).name
        if name == f"{sample.serial}_{entity.channel}":
            name = "" if entity.channel == entity.label and entity.device_class == "voltage" else entity.channel
        if device:
            name = ""
        text = self.entity_name.format(name=name, quantity=entity.quantity, channel=entity.channel, serial=serial)
        return " ".join(text.split()) or None


def removals(old: Config, new: Config) -> Config | None:
    """Return a config that removes the components that are gone; None if none is."""
    gone = components(old).keys() - components(new).keys()
    if not gone:
        return None
    return {**new, "components": {**new["components"], **{key: {"platform": "sensor"} for key in sorted(gone)}}}


def components(config: Config) -> Mapping[str, Any]:
    """Return the components of a config, whatever it is."""
    found = config.get("components")
    return found if isinstance(found, Mapping) else {}


def _device_id(serial: str, channel: str = "") -> str:
    return "_".join(filter(None, (ORIGIN, identifier(serial), identifier(channel))))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
