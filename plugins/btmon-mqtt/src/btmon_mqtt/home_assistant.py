# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant: the states of meters, and when their devices are announced, announced again, or removed. No I/O.

With each connection, what the broker has retained is learnt first, so that no state follows a later one: not after a
crash, nor when readings are delivered again. So the energies that Home Assistant sees never fall.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from threading import RLock

import attrs

from btcore import Batch, Delivery, Sample, SerialNames
from btmon_mqtt.discovery import Config, Discovery, removals
from btmon_mqtt.entities import Entities, Entity
from btmon_mqtt.messages import Message
from btmon_mqtt.payloads import compact, format_time
from btmon_mqtt.topics import join, level

MIN_EXPIRY = 300
"""Seconds without a state after which a meter is unavailable, at least."""

MISSED = 5
"""How many states a meter may miss before it is unavailable."""

FIRST_HABIT = 60.0
"""Seconds: the longest usual interval of a meter of which only one is known: that may be a gap."""

MAX_HABIT = 86_400.0
"""Seconds: the longest usual interval of a meter."""

MAX_RETAINED = 10_000
"""Devices and states that are remembered."""

BIRTH = b"online"


@attrs.frozen
class Last:
    """The last state of a meter: the offset and the time of its reading."""

    offset: int
    time: str


@attrs.define(eq=False)
class HomeAssistant:
    """What Home Assistant has been told, and what it is to be told next. Its methods may be called by two threads."""

    base_topic: str
    discovery: Discovery
    entities: Entities
    serials: SerialNames
    delivery: Delivery
    report: Callable[[str], None] = attrs.field(default=lambda _text: None)
    now: Callable[[], datetime] = attrs.field(default=lambda: datetime.now(UTC))
    _configs: dict[str, Config] = attrs.field(factory=dict)
    _states: dict[str, Message] = attrs.field(factory=dict)
    _last: dict[str, Last] = attrs.field(factory=dict)
    _used: dict[str, set[str]] = attrs.field(factory=dict)
    _stale: set[str] = attrs.field(factory=set)
    _wanted: set[str] = attrs.field(factory=set)
    _habits: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    _expiries: dict[str, int] = attrs.field(factory=dict)
    _lock: RLock = attrs.field(factory=RLock)

    @property
    def birth_topic(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery.prefix}/status"

    @property
    def retained_topics(self) -> list[str]:
        """Where the broker has devices and states of an earlier connection."""
        return [f"{self.discovery.prefix}/device/+/config", self.state_topic("+")]

    def state_topic(self, serial: str) -> str:
        """Return the topic of a meter's states."""
        return join(self.base_topic, f"{serial}/state")

    def begin(self) -> None:
        """Begin with a connection: what was published by the last one may not have arrived."""
        with self._lock:
            self._configs.clear()
            self._last.clear()

    def learn(self, topic: str, payload: bytes) -> Sequence[Message]:
        """Take in what the broker has retained: a device that this sink has announced, or a state of a meter."""
        table = _table(payload)
        with self._lock:
            if table is None or len(self._configs) + len(self._last) >= MAX_RETAINED:
                pass
            elif topic.endswith("/config"):
                if self.discovery.is_ours(table):
                    self._configs[topic] = table
            elif isinstance(table.get("offset"), int) and isinstance(table.get("time"), str):
                self._last[topic] = Last(table["offset"], table["time"])
        return ()

    def answer(self, topic: str, payload: bytes) -> Sequence[Message]:
        """Answer a message: all devices and states, when Home Assistant has started."""
        if topic != self.birth_topic or payload != BIRTH:
            return ()
        with self._lock:
            devices = [Message(topic, compact(one), retain=True) for topic, one in self._configs.items()]
            return [*devices, *self._states.values()]

    def messages(self, batch: Batch) -> Iterator[Message]:
        """Yield what is to be published of a batch: of each meter, changes of its devices, then its newest state."""
        newest: dict[str, Sample] = {}
        for sample in batch.samples:
            self._note_habit(sample)
            newest[sample.serial] = sample
        for sample in newest.values():
            with self._lock:
                found = list(self._of_meter(sample))
            yield from found

    def wants(self, serial: str) -> bool:
        """Whether a meter of which `messages` has had a sample has any entity."""
        return serial in self._wanted

    def _of_meter(self, sample: Sample) -> Iterator[Message]:
        entities = self._entities_of(sample)
        if not entities:
            return  # the settings choose nothing of it
        self._wanted.add(sample.serial)
        serial = self.serials[sample.serial]
        topic = self.state_topic(level(serial))
        last = self._last.get(topic)
        now = Last(sample.newer.offset, format_time(sample.end))
        if last and now.offset <= last.offset and _not_after(now.time, last.time):
            return  # delivered again: Home Assistant has a later state
        if last is None and not self._is_fresh(sample):
            self._report_stale(sample)
            return  # what the journal has of earlier days would be energy of this hour
        yield from self._announcements(sample, serial, topic, entities)
        self._last[topic] = now
        values = {entity.key: _finite(entity.value(sample)) for entity, _ in entities}
        state = Message(topic, compact({"time": now.time, "offset": now.offset, **values}), retain=True)
        self._states[topic] = state
        yield state

    def _is_fresh(self, sample: Sample) -> bool:
        """Whether a meter may have its first state ever from this sample: one that holds still, or is not live."""
        age = self.now() - sample.end
        return sample.newer.origin != "" or age.total_seconds() <= self._expiry(sample.serial)

    def _report_stale(self, sample: Sample) -> None:
        """Report once that a meter has no state yet: its readings are old, or their clock is wrong."""
        if sample.serial not in self._stale:
            self._stale.add(sample.serial)
            what = "Home Assistant gets its state when they are of the present"
            self.report(f"meter {sample.serial}: its readings are of {format_time(sample.end)}; {what}")

    def _entities_of(self, sample: Sample) -> list[tuple[Entity, bool]]:
        """Return the entities of a meter that are announced, each with whether it has ever been used in this run."""
        used = self._used.setdefault(sample.serial, set())
        found = [(entity, is_used or entity.key in used) for entity, is_used in self.entities.of(sample)]
        used.update(entity.key for entity, is_used in found if is_used)
        return [(entity, is_used) for entity, is_used in found if is_used or self.discovery.unused != "hide"]

    def _announcements(
        self, sample: Sample, serial: str, state_topic: str, entities: Sequence[tuple[Entity, bool]]
    ) -> Iterator[Message]:
        """Yield the devices of a meter that are new or have changed, and what removes those that are gone."""
        configs = self.discovery.configs(sample, serial, entities, state_topic, self._expiry(sample.serial))
        main = next(iter(configs))
        stem = main.removesuffix("/config")
        gone = [one for one in self._configs if one.startswith(f"{stem}_") and one not in configs]
        for topic in gone:
            if self._configs[topic].get("state_topic") == state_topic:
                del self._configs[topic]
                yield Message(topic, "", retain=True)
        for topic, config in configs.items():
            yield from self._announce(topic, config)

    def _announce(self, topic: str, config: Config) -> Iterator[Message]:
        old = self._configs.get(topic)
        if config == old:
            return
        self._configs[topic] = config
        without = removals(old, config) if old else None
        if without:
            yield Message(topic, compact(without), retain=True)
        yield Message(topic, compact(config), retain=True)

    def _note_habit(self, sample: Sample) -> None:
        length = min((sample.end - sample.start).total_seconds(), MAX_HABIT)
        first = min(length, max(FIRST_HABIT, self.delivery.interval))
        _, before = self._habits.get(sample.serial, (first, first))
        self._habits[sample.serial] = (before, length)

    def _expiry(self, serial: str) -> int:
        """Return for how many seconds a state holds: some of the meter's usual intervals. A single gap is no habit."""
        habit = min(self._habits[serial])
        calls = self.delivery.max_calls_per_hour
        pace = max(self.delivery.flush_interval, self.delivery.min_call_interval, 3600 / calls if calls else 0)
        expiry = max(MIN_EXPIRY, 60 * math.ceil(MISSED * (habit + pace) / 60))
        # an interval that was longer once may be so again
        self._expiries[serial] = max(expiry, self._expiries.get(serial, 0))
        return self._expiries[serial]


def _not_after(time: str, other: str) -> bool:
    try:
        return datetime.fromisoformat(time) <= datetime.fromisoformat(other)
    except (ValueError, TypeError):
        return False


def _table(payload: bytes) -> Config | None:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
