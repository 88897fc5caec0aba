# SPDX-License-Identifier: GPL-3.0-or-later
"""The entities that Home Assistant gets of a meter: what each is, in its words, and the value of each in a sample.

Classes and units are those of its sensor documentation. How they are announced belongs to `discovery.py`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import attrs

from btcore import Channel, ChannelDescription, ChannelRef, Number, Polarity, Sample, visible_channels
from btmon_mqtt.quantities import is_temperature, sensors

TemperatureUnit = Literal["C", "F"]
"""The type of the setting `temperature_unit`."""

KILO = 0.001
"""kWh of a Wh."""

Describe = Callable[[str, str], ChannelDescription]
"""Returns what [channels] says of a channel; one that is not there is named SERIAL_CHANNEL."""


def _as_key(text: str) -> str:
    """Return a label of any meter as a name that Home Assistant's templates take."""
    return re.sub(r"\W", "_", text)


@attrs.frozen(kw_only=True)
class Entity:
    """One entity: `key` is its name in the state of the meter, and the end of its identifiers.

    `label` is the number of a sample, which `factor` turns into the unit. `quantity` is what the entity is called
    behind the name of its channel.
    """

    key: str = attrs.field(converter=_as_key)
    channel: str
    label: str
    quantity: str
    device_class: str = ""
    state_class: str = "measurement"
    unit: str = ""
    factor: float = 1.0
    digits: int = 3
    precision: int | None = None

    def value(self, sample: Sample) -> Number:
        """Return its value; None where it is not known."""
        number = sample.get(self.label)
        return None if number is None else round(number * self.factor, self.digits) + 0.0


VOLTS = Entity(
    key="volts",
    channel="volts",
    label="volts",
    quantity="voltage",
    device_class="voltage",
    unit="V",
    precision=1,
)


@attrs.frozen
class Entities:
    """Which entities a meter has, by the polarity of its samples and the settings: of all channels, or of these."""

    polarity: Polarity
    describe: Describe
    channels: Sequence[ChannelRef] = ()
    include_current: bool = False
    temperature_unit: TemperatureUnit = "C"

    def of(self, sample: Sample) -> Iterator[tuple[Entity, bool]]:
        """Yield the entities of a meter, each with whether it is used: it has measured something, or has a name."""
        if "volts" in sample.format.index and self._chooses(sample.serial, "volts"):
            yield VOLTS, True
        for channel in visible_channels(sample):
            if self._chooses(sample.serial, channel.name):
                yield from self._of_channel(sample, channel)
        for label in sensors(sample.format):
            if self._chooses(sample.serial, label):
                yield self._of_sensor(sample, label)

    def _chooses(self, serial: str, channel: str) -> bool:
        """Whether a channel is to have entities: where settings choose a number, its channel has."""
        chosen = (f"{ref.label}_" for ref in self.channels if ref.matches(serial))
        return not self.channels or any(label.startswith(f"{channel}_") for label in chosen)

    def _of_channel(self, sample: Sample, channel: Channel) -> Iterator[tuple[Entity, bool]]:
        name = channel.name
        is_named = self._is_named(sample.serial, name)
        if not channel.directional:
            total = f"{name}_wh_total"
            is_used = is_named or bool(sample.get(total))
            yield _power(name), is_used
            yield _energy(f"{name}_energy", name, total, "energy"), is_used
            return
        ways = ("p", "n") if self.polarity == "brultech" else ("n", "p")
        labels = {way: f"{name}_{sign}wh_total" for way, sign in zip(("import", "export"), ways, strict=True)}
        imports, exports = (bool(sample.get(label)) for label in labels.values())
        is_used = is_named or imports or exports
        yield _power(name), is_used
        imported = _energy(f"{name}_import", name, labels["import"], "energy imported")
        yield imported, imports or (is_named and not exports)
        yield _energy(f"{name}_export", name, labels["export"], "energy exported"), exports
        yield _energy(f"{name}_net", name, f"{name}_wh_total", "energy net", "total"), exports
        if self.include_current and f"{name}_a" in sample.format.index:
            yield _current(name), is_used

    def _of_sensor(self, sample: Sample, label: str) -> tuple[Entity, bool]:
        is_named = self._is_named(sample.serial, label)
        if label in sample.format.pulses:
            entity = _pulses(label, self.describe(sample.serial, label))
            return entity, is_named or bool(entity.value(sample))
        is_used = is_named or sample.get(label) is not None
        if sample.format.family and is_temperature(label):
            return _temperature(label, self.temperature_unit), is_used
        return Entity(key=label, channel=label, label=label, quantity=""), is_used

    def _is_named(self, serial: str, channel: str) -> bool:
        return self.describe(serial, channel).name != f"{serial}_{channel}"


def _power(channel: str) -> Entity:
    return Entity(
        key=f"{channel}_power",
        channel=channel,
        label=f"{channel}_w",
        quantity="power",
        device_class="power",
        unit="W",
        precision=0,
    )


def _energy(key: str, channel: str, label: str, quantity: str, state_class: str = "total_increasing") -> Entity:
    return Entity(
        key=key,
        channel=channel,
        label=label,
        quantity=quantity,
        device_class="energy",
        state_class=state_class,
        unit="kWh",
        factor=KILO,
        digits=6,  # a watt-second is 0.28 mWh
        precision=2,
    )


def _current(channel: str) -> Entity:
    label = f"{channel}_a"
    return Entity(key=label, channel=channel, label=label, quantity="current", device_class="current", unit="A")


def _temperature(label: str, unit: TemperatureUnit) -> Entity:
    return Entity(
        key=label,
        channel=label,
        label=label,
        quantity="temperature",
        device_class="temperature",
        unit=f"°{unit}",
        precision=1,
    )


def _pulses(label: str, description: ChannelDescription) -> Entity:
    """Make the entity of a pulse counter: water, gas or energy, as [channels] says, or else pulses."""
    return Entity(
        key=label,
        channel=label,
        label=f"{label}_total",
        quantity="" if description.unit else "pulses",
        device_class=description.class_ or "",
        state_class="total_increasing",
        unit=description.unit or "pulses",
        factor=description.per_pulse,
        digits=6,
    )
