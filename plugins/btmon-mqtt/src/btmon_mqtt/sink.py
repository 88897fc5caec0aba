# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. What it publishes is made in `payloads.py` and `home_assistant.py`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs

from btcore import (
    Batch,
    ChannelRef,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Discovered,
    Duration,
    Finding,
    Problem,
    Sample,
    Secret,
    SerialNames,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btmon_mqtt.checks import problems
from btmon_mqtt.connection import Connection
from btmon_mqtt.discovery import Discovery, Unused
from btmon_mqtt.entities import Entities, TemperatureUnit
from btmon_mqtt.home_assistant import HomeAssistant
from btmon_mqtt.login import Login, Protocol
from btmon_mqtt.messages import Message
from btmon_mqtt.payloads import Layout, Numbers
from btmon_mqtt.quantities import Selection
from btmon_mqtt.topics import join

PORT, TLS_PORT = 1883, 8883


@plugin(api=1, delivery=Delivery(batch_size=100))
class Mqtt:
    """Publishes what the meters measure to an MQTT broker: as btmon did, as JSON, and for Home Assistant."""

    host: str = setting(default="localhost", help="the broker's name or address")
    port: int = setting(
        default=0,
        help="its TCP port; 0: 1883, or 8883 with tls",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(65535)),
    )
    user: str = setting(default="", help="the user's name")
    password: Secret = setting(default=Secret(""), help="the user's password")
    client_id: str = setting(default="", help="what the broker knows us by; empty: a new one for each connection")
    protocol: Protocol = setting(default="auto", help="the version of MQTT; auto: 5, or 3.1.1 if the broker is older")
    tls: bool = setting(default=False, help="encrypt, and check the broker's certificate")
    tls_ca: Path | None = setting(default=None, help="the certificates to trust; left out: the system's")
    tls_cert: Path | None = setting(default=None, help="a certificate of our own, in PEM")
    tls_key: Path | None = setting(default=None, help="its key, where that is not in the same file")
    timeout: Duration = setting(
        default=Duration(15),
        help="longest wait for an answer",
        validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.le(600)),
    )
    qos: Literal[0, 1, 2] = setting(default=1, help="quality of service; 0: nothing is acknowledged, so it may be lost")
    retain: bool = setting(default=False, help="the broker keeps the last of each number for who subscribes later")
    base_topic: str = setting(default="/house/energy", help="what every topic begins with, as btmon's mqtt_base_topic")
    values: bool | None = setting(
        default=None, help="a topic for each number, as btmon; left out: unless json or homeassistant is true"
    )
    topic: str = setting(
        default="{serial}_{label}",
        help="the topic of a number, below base_topic: text with {serial}, {label}, {channel}, {kind} and {name}",
    )
    map: dict[ChannelRef, str] = setting(
        factory=dict, help="another topic for some numbers, below base_topic; in JSON another key"
    )
    channels: tuple[ChannelRef, ...] = setting(
        default=(), help="publish only these channels (ch1) or numbers (ch1_w); empty: as btmon"
    )
    include_current: bool = setting(default=False, help="also publish the current of each channel, in amperes")
    digits: int = setting(
        default=3,
        help="digits behind the point",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(9)),
    )
    units: bool = setting(default=False, help="with each number its unit: 120.9 V")
    timestamps: bool = setting(default=False, help="with each number its time, as JSON")
    json: bool = setting(default=False, help="one message for each meter and reading, as JSON")
    json_topic: str = setting(
        default="{serial}/json", help="the topic of the JSON, below base_topic: text with {serial}"
    )
    status_topic: str = setting(default="", help="the topic of online and offline; empty: status, below base_topic")
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    homeassistant: bool = setting(default=False, help="announce the meters to Home Assistant")
    discovery_prefix: str = setting(default="homeassistant", help="Home Assistant's discovery prefix")
    unused: Unused = setting(
        default="hide",
        help="entities that never measured anything: leave them out, announce them disabled, or announce them",
    )
    temperature_unit: TemperatureUnit = setting(
        default="C", help="the unit that the meter's temperature sensors are set to, for Home Assistant"
    )
    device_name: str = setting(
        default="{model} {serial}", help="name of a meter in Home Assistant: text with {model} and {serial}"
    )
    entity_name: str = setting(
        default="{name} {quantity}",
        help="name of an entity in Home Assistant: text with {name}, {quantity}, {channel} and {serial}",
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        return problems(self)

    def claims(self) -> Iterator[Claim]:
        """Claim what a second client would take away, or say otherwise."""
        login = self._login()
        if self.client_id:
            yield Claim(f"client {self.client_id} of the MQTT broker {login.address}", key="client_id")
        yield Claim(f"topic {self.status} of the MQTT broker {login.address}", key="base_topic")

    @property
    def status(self) -> str:
        """The topic that says whether we are there."""
        return self.status_topic or join(self.base_topic, "status")

    @property
    def sends_values(self) -> bool:
        """Whether each number has a topic."""
        return not (self.json or self.homeassistant) if self.values is None else self.values

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare and, unless nothing may be sent, connect. Raises Retry or Stop."""
        self._context = context
        self._warned: set[str] = set()
        self._layout = self._make_layout(context)
        self._home_assistant = self._make_home_assistant(context) if self.homeassistant else None
        self._connection = Connection(self._login(), Message(self.status, "offline", retain=True), self.qos)
        if not context.dry_run:
            self._connect()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Publish a batch; return how many of its readings were used. Raises Retry, Reject or Stop."""
        if not self._connection.is_open:
            self._connect()
        used: set[Sample] = set()
        self._connection.publish(self._numbers(batch, used))
        if self._home_assistant:
            self._connection.publish(self._home_assistant.messages(batch))
            used.update(sample for sample in batch.samples if self._home_assistant.wants(sample.serial))
        readings = {(sample.serial, sample.newer.key) for sample in used}
        return min(len(readings), len(batch.readings))

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the messages that would be published."""
        yield from map(str, self._numbers(batch, set()))
        if self._home_assistant:
            yield from map(str, self._home_assistant.messages(batch))

    @hookimpl
    def close(self) -> None:
        """Say that we are gone, and disconnect."""
        if hasattr(self, "_connection"):
            self._connection.close(Message(self.status, "offline", retain=True))

    @classmethod
    def discover(cls, timeout: float) -> Iterable[Discovered]:
        """Find a broker on this computer."""
        from btmon_mqtt.nearby import discover  # noqa: PLC0415 - a run does not need it

        return discover(PORT, timeout)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the broker takes the user; nothing is published."""
        from btmon_mqtt.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self._login())

    def _connect(self) -> None:
        """Connect, learn what Home Assistant knows already, and say that we are there. Raises Retry or Stop."""
        connection, home_assistant = self._connection, self._home_assistant
        connection.open()
        if connection.is_silent and self.protocol == "auto":
            self._warn("%s knows MQTT 3.1.1 only: what its access list denies is lost without a word")
        if home_assistant:
            home_assistant.begin()
            denied = connection.learn(home_assistant.retained_topics, home_assistant.learn)
            denied += connection.subscribe([home_assistant.birth_topic], home_assistant.answer)
            if denied:
                self._warn(
                    f"%s does not let us subscribe to {' and '.join(denied)}: Home Assistant may not learn of meters"
                    " when it starts, and a reading that is delivered again may make an energy fall; its access list"
                    " has to allow it"
                )
        connection.publish([Message(self.status, "online", retain=True)])

    def _warn(self, text: str) -> None:
        """Warn of something about the broker, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._context.log.warning(text, self._connection.login.address)

    def _numbers(self, batch: Batch, used: set[Sample]) -> Iterator[Message]:
        """Yield the messages with numbers, oldest first; add the samples that they are of."""
        for sample in batch.samples:
            for message in self._messages(sample):
                used.add(sample)
                yield message

    def _messages(self, sample: Sample) -> Iterator[Message]:
        if self.sends_values:
            yield from self._layout.values(sample)
        if self.json:
            yield from self._layout.meter(sample)

    def _login(self) -> Login:
        return Login(
            host=self.host,
            port=self.port or (TLS_PORT if self.tls else PORT),
            user=self.user,
            password=self.password,
            client_id=self.client_id,
            protocol=self.protocol,
            tls=self.tls,
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            timeout=self.timeout,
        )

    def _make_layout(self, context: Context) -> Layout:
        further = [ref for ref in self.map if not any(ref == one for one in self.channels)]
        return Layout(
            base_topic=self.base_topic,
            topic=self.topic,
            json_topic=self.json_topic,
            map=self.map,
            selection=Selection(self.channels, further, self.include_current),
            numbers=Numbers(self.digits, self.units, self.timestamps),
            retain=self.retain,
            serials=self._serial_names(context),
            names=context.channels,
        )

    def _make_home_assistant(self, context: Context) -> HomeAssistant:
        discovery = Discovery(
            prefix=self.discovery_prefix,
            status_topic=self.status,
            qos=self.qos,
            describe=context.describe_channel,
            device_name=self.device_name,
            entity_name=self.entity_name,
            unused=self.unused,
        )
        entities = Entities(
            context.polarity, context.describe_channel, self.channels, self.include_current, self.temperature_unit
        )
        names = self._serial_names(context)
        return HomeAssistant(self.base_topic, discovery, entities, names, context.delivery, context.log.info)

    def _serial_names(self, context: Context) -> SerialNames:
        named = {ref.serial for ref in (*self.map, *self.channels)}
        return SerialNames(self.serials, named | {key.partition("_")[0] for key in context.channels})
