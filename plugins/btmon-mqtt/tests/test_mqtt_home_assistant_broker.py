# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant by a real broker and the core's own worker: no energy ever falls, and no device is forgotten."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.home_assistant import faults, statistics
from helpers.needed import needs
from helpers.running_sink import RunningSink
from helpers.samplers import samples_between
from servers.mosquitto import MISSING, Listener, Mosquitto

from btcore import Batch, ChannelDescription, ChannelRef, Context, Reading, pack
from btcore.decode.brultech import FORMATS
from btcore.formats import Format
from btcore.journal import Entry, Journal
from btcore.journal.opening import DEFAULT, open_journal
from btcore.testing import wait_for
from btmon_mqtt.sink import Mqtt

pytestmark = [pytest.mark.servers, needs(MISSING)]

Opened = Callable[..., Mqtt]

START = datetime.now(UTC).replace(microsecond=0)
"""When the first packet comes: the first state of a meter is one of the present."""

GEM = "01000777"
FORM: Format = FORMATS["gem48pbin"]
STATE = f"energy/{GEM}/state"
CONFIG = f"homeassistant/device/btcore_{GEM}/config"
RISING = ("ch1_import", "ch1_export", "ch2_export", "p1")


@attrs.define
class Panel:
    """A GEM with a grid and a solar channel and a water meter.

    `passed` is all that ever passed: Ws from the grid, Ws to the grid, Ws of the sun, and pulses.
    """

    at: int = 0
    secs: int = 50_000
    grid: tuple[int, int] = (9_000_000, 4_000_000)
    sun: int = 8_000_000
    pulses: int = 7000
    passed: tuple[int, ...] = (0, 0, 0, 0)

    def run(self, seconds: int, count: int = 1) -> Iterator[Entry]:
        """Let time pass, so often; yield the packet after each."""
        for _ in range(count):
            self.at += seconds
            self.secs += seconds
            self._count(500 * seconds, 200 * seconds, 600 * seconds, seconds // 10)
            yield self.packet()

    def _count(self, taken: int, fed: int, sun: int, pulses: int) -> None:
        self.grid = (self.grid[0] + taken + fed, self.grid[1] + fed)
        self.sun, self.pulses = self.sun + sun, self.pulses + pulses
        self.passed = tuple(map(sum, zip(self.passed, (taken, fed, sun, pulses), strict=True)))

    def reset(self) -> None:
        """Begin all counters at zero."""
        self.secs, self.grid, self.sun, self.pulses = 0, (0, 0), 0, 0

    def packet(self) -> Entry:
        """Return the packet that it sends now."""
        values = {
            "secs": self.secs,
            "volts": 121.0,
            "ch1_aws": self.grid[0],
            "ch1_pws": self.grid[1],
            "p1": self.pulses,
        }
        raw = pack(FORM.name, GEM, values | {"ch2_aws": self.sun, "ch2_pws": self.sun})
        key = round((START + timedelta(seconds=self.at)).timestamp() * 1_000_000)
        return Entry(key, "panel", GEM, FORM.name, raw)


def sink_for(broker: Mosquitto, **settings: Any) -> Mqtt:  # noqa: ANN401 - any setting
    """Make a sink for Home Assistant."""
    return Mqtt(host="127.0.0.1", port=broker.port, base_topic="energy", homeassistant=True, **settings)


def deliver(journal: Journal, broker: Mosquitto, entries: Iterator[Entry], **settings: Any) -> None:  # noqa: ANN401
    """Append entries, and deliver with a btcore that starts and ends: each reading by itself."""
    journal.append(list(entries))
    with RunningSink(journal, sink_for(broker, **settings), settings={"batch_size": 1}) as running:
        running.finish()
    assert running.worker.stop_reason == ""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Open a journal."""
    with closing(open_journal(DEFAULT, tmp_path)) as opened_journal:
        yield opened_journal


def test_no_energy_falls_over_restarts_resets_gaps_and_another_meter(broker: Mosquitto, journal: Journal) -> None:
    """Whatever happens to btcore and to the meter, each sum rises by what passed, and by nothing else."""
    panel = Panel()
    with Listener(broker, STATE) as listener:
        deliver(journal, broker, panel.run(10, 2))
        begin = panel.passed  # of the first reading there is no sample, so no state
        deliver(journal, broker, panel.run(10, 20))  # a restart of btcore
        deliver(journal, broker, panel.run(86_400))  # a day without btcore
        panel.reset()
        deliver(journal, broker, panel.run(10, 20))  # the meter has begun at zero
        before = panel.passed
        panel.grid, panel.sun, panel.secs, panel.pulses = (7_200_000_000, 3_600_000_000), 1_800_000_000, 3_000_000, 100
        deliver(journal, broker, panel.run(10))  # another meter with the same serial number: nothing is known of before
        unknown = panel.passed
        deliver(journal, broker, panel.run(10, 20))
        listener.settle()
    states = listener.states(STATE)
    steps = {key: statistics(states, key) for key in RISING}
    parts = zip(RISING, begin, before, unknown, panel.passed, strict=True)
    expected = {key: old - first + new - lost for key, first, old, lost, new in parts}
    assert [step for found in steps.values() for step in found if step < 0] == []
    sums = {key: sum(found) * (1 if key == "p1" else 3.6e6) for key, found in steps.items()}
    assert sums == {key: pytest.approx(value, abs=8) for key, value in expected.items()}  # a state has mWh


def test_what_is_delivered_again_does_not_follow_a_later_state(broker: Mosquitto, opened: Opened) -> None:
    """After a crash a batch may come again, and cut otherwise: Home Assistant sees no older energy."""
    readings = readings_of(Panel().run(10, 6))
    samples = tuple(samples_between(readings))
    with Listener(broker, STATE) as listener:
        for cut in (5, 2, 5):
            sink = opened(broker.port, base_topic="energy", homeassistant=True)
            assert sink.process_batch(Batch(tuple(readings[: cut + 1]), samples[:cut])) == cut
            sink._connection.abandon()
        listener.settle()
    assert [state["offset"] for state in listener.states(STATE)] == [6]


def test_a_clock_that_is_set_back_does_not_silence_a_meter(broker: Mosquitto, opened: Opened) -> None:
    """A later reading with an earlier time is a state like any other."""
    readings = readings_of(Panel().run(10, 3))
    late = [attrs.evolve(one, time=one.time - timedelta(hours=1), offset=one.offset + 10) for one in readings]
    sink = opened(broker.port, base_topic="energy", homeassistant=True)
    with Listener(broker, STATE) as listener:
        for part in (readings, late):
            sink.process_batch(Batch(tuple(part), tuple(samples_between(part))))
        listener.settle()
    assert [state["offset"] for state in listener.states(STATE)] == [3, 13]


def test_a_state_that_may_not_have_arrived_is_sent_again(broker: Mosquitto, opened: Opened) -> None:
    """Where the broker died before it had a state, the next try of the same batch publishes it."""
    readings = readings_of(Panel().run(10, 3))
    batch = Batch(tuple(readings), tuple(samples_between(readings)))
    sink = opened(broker.port, base_topic="energy", homeassistant=True)
    assert sink._home_assistant
    list(sink._home_assistant.messages(batch))  # they are lost on their way
    sink._connection.abandon()
    assert sink.process_batch(batch) == 2
    assert json.loads(broker.retained()[STATE])["offset"] == 3


def readings_of(entries: Iterator[Entry]) -> list[Reading]:
    """Return the readings of packets, with offsets from 1 on."""
    found = []
    for offset, entry in enumerate(entries, 1):
        at = START + timedelta(microseconds=entry.key - round(START.timestamp() * 1_000_000))
        found.append(Reading(at, FORM, GEM, entry.raw, offset=offset))
    return found


def publish(sink: Mqtt, count: int = 3) -> None:
    """Publish some readings."""
    readings = readings_of(Panel().run(10, count))
    sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings))))


def test_when_home_assistant_starts_all_is_announced_again(broker: Mosquitto, opened: Opened) -> None:
    """At its birth message come the devices, and behind them the last states, without a new reading."""
    sink = opened(broker.port, base_topic="energy", homeassistant=True)
    publish(sink)
    with Listener(broker) as listener:
        listener.settle()
        listener.messages.clear()
        broker.publish("homeassistant/status", "online")
        wait_for(lambda: len(listener.payloads(STATE)) == 1, "the state")
    assert [topic for topic, _ in listener.messages] == ["homeassistant/status", CONFIG, STATE]


def test_what_has_not_changed_is_not_announced_again(broker: Mosquitto, opened: Opened) -> None:
    """After a restart nothing is told that Home Assistant knows."""
    publish(opened(broker.port, base_topic="energy", homeassistant=True))
    with Listener(broker, CONFIG) as listener:
        listener.settle()
        listener.messages.clear()
        publish(opened(broker.port, base_topic="energy", homeassistant=True), 5)
        listener.settle()
    assert listener.messages == []


def test_an_entity_that_is_gone_is_removed(broker: Mosquitto, opened: Opened) -> None:
    """What an earlier run announced and this one has not is removed by name, and is not kept."""
    publish(opened(broker.port, base_topic="energy", homeassistant=True, unused="show"))
    with Listener(broker, CONFIG) as listener:
        listener.settle()
        listener.messages.clear()
        publish(opened(broker.port, base_topic="energy", homeassistant=True), 5)
        listener.settle()
    without, kept = (config["components"] for config in listener.states(CONFIG))
    assert without["ch3_power"] == {"platform": "sensor"}
    assert "ch3_power" not in kept
    assert "ch1_power" in kept
    assert list(faults({CONFIG: json.loads(broker.retained()[CONFIG])})) == []


def test_a_channel_that_loses_its_area_is_no_device_any_more(broker: Mosquitto, opened: Opened) -> None:
    """Its device is removed, its entities are those of the meter, and devices of others stay."""
    other = "homeassistant/device/btcore_other/config"
    foreign = {"origin": {"name": "btcore"}, "availability_topic": "elsewhere/status", "components": {}}
    channels = {f"{GEM}_ch2": ChannelDescription(name="solar", area="Roof")}
    context = Context(
        "sink.test", logging.getLogger("sink.test"), channels={f"{GEM}_ch2": "solar"}, channel_descriptions=channels
    )
    publish(opened(broker.port, base_topic="energy", homeassistant=True, context=context))
    broker.publish(other, json.dumps(foreign), retain=True)
    device = CONFIG.replace(GEM, f"{GEM}_ch2")
    assert device in broker.retained()
    publish(opened(broker.port, base_topic="energy", homeassistant=True), 5)
    assert {topic for topic in broker.retained() if topic.endswith("config")} == {CONFIG, other}
    assert "ch2_power" in json.loads(broker.retained()[CONFIG])["components"]


def test_a_meter_of_which_nothing_is_chosen_is_not_announced(broker: Mosquitto, opened: Opened) -> None:
    """With a mistyped channel nothing counts as delivered, so mended settings get everything."""
    chosen = (ChannelRef("99999999", "ch1"),)
    sink = opened(broker.port, base_topic="energy", homeassistant=True, channels=chosen)
    readings = readings_of(Panel().run(10, 3))
    assert sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings)))) == 0
    assert broker.retained() == {"energy/status": "online"}


def test_nonsense_on_its_topics_does_no_harm(broker: Mosquitto, opened: Opened) -> None:
    """Whatever somebody else has left on the broker, meters are announced."""
    for topic, payload in (
        (CONFIG, "[1"),
        (CONFIG.replace(GEM, "x"), '{"origin": 7}'),
        (STATE, '{"offset": "a", "time": 3}'),
        (STATE.replace(GEM, "y"), "[" * 100_000),
    ):
        broker.publish(topic, payload, retain=True)
    publish(opened(broker.port, base_topic="energy", homeassistant=True))
    assert json.loads(broker.retained()[STATE])["offset"] == 3
