# SPDX-License-Identifier: GPL-3.0-or-later
"""Against btmon, through a real broker: the same messages in the same order, but for what it did wrong."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.plugin_calls import preview_batches
from helpers.samplers import samples_between
from servers.mosquitto import Listener, Mosquitto

from btcore import Batch, ChannelRef, Secret
from btcore.testing import wait_for
from btmon_mqtt.sink import Mqtt

pytestmark = pytest.mark.servers

Opened = Callable[..., Mqtt]
Published = list[tuple[str, float]]

RECORDED = sorted(path.stem for path in (GOLDEN / "mqtt").glob("*.json"))
REFUSED = [name for name in RECORDED if name.rpartition(".")[2].startswith(("bad_", "passwd_"))]
PUBLISHED = [name for name in RECORDED if name not in REFUSED]


@cache
def load(name: str) -> dict[str, Any]:
    """Read a recording."""
    found: dict[str, Any] = json.loads((GOLDEN / "mqtt" / f"{name}.json").read_text())
    return found


def settings_of(name: str) -> dict[str, Any]:
    """Return the settings that were btmon's."""
    options = load(name)["options"]
    parts = options.get("mqtt_map", "").split(",")
    refs = (ChannelRef(*key.split("_", 1)) for key in parts[:-1:2])
    return {
        "map": dict(zip(refs, parts[1::2], strict=True)),
        "qos": int(options.get("mqtt_qos", 1)),
        "retain": options.get("mqtt_retain") == "true",
        **({"base_topic": options["mqtt_base_topic"]} if "mqtt_base_topic" in options else {}),
    }


def batches_of(name: str) -> list[Batch]:
    """Return the recorded readings as btmon had them: in two passes, with the samples between them in its sign."""
    recording = load(name)
    readings = recorded_readings(recording["input"]["stream"])
    samples = samples_between(readings, "btmon")
    passes = [[readings[index] for index in one["inserted"]] for one in recording["passes"]]
    return [Batch(tuple(part), tuple(sample for sample in samples if sample.newer in part)) for part in passes]


def btmon_published(name: str) -> Published:
    """Return what btmon published, in its order."""
    calls = [one for part in load(name)["passes"] for batch in part["batches"] for one in batch["publish"]]
    return [(message["topic"], message["payload"]) for call in calls for message in call["messages"]]


def published(broker: Mosquitto, opened: Opened, name: str, **more: Any) -> Published:  # noqa: ANN401 - any setting
    """Publish a recorded stream; return what came, but for the status."""
    with Listener(broker) as listener:
        sink = opened(broker.port, **settings_of(name) | more)
        for batch in batches_of(name):
            assert sink.process_batch(batch) == batch.sampled
        listener.settle()
        return [(topic, float(payload)) for topic, payload in listener.messages if not topic.endswith("/status")]


def quirk(topic: str, ours: float, btmon: float) -> str:
    """Name the quirk by which a value differs from btmon's; empty where it does not."""
    if ours == btmon:
        return ""
    if topic.endswith("_dwh") and math.isclose(ours, btmon, abs_tol=0.0011):
        return "A13"
    return "A1" if abs(ours) < abs(btmon) else "another number"


def counterpart(ours: Published, btmon: Published) -> tuple[Published, set[str]]:
    """Leave out of ours what btmon never published; return the rest, and the quirks by which that was left out."""
    rest, dropped, expected = [], set(), list(btmon)
    for topic, value in ours:
        if expected and expected[0][0] == topic:
            rest.append((topic, value))
            expected.pop(0)
        else:
            dropped.add("F1" if value == 0 else f"{topic} {value}")
    return rest, dropped


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_messages_are_those_of_btmon(name: str, broker: Mosquitto, opened: Opened) -> None:
    """Every message that btmon published comes, on the same topic and in the same order; what differs is a quirk."""
    expected = btmon_published(name)
    found = published(broker, opened, name)
    rest, dropped = counterpart(found, expected)
    assert [topic for topic, _ in rest] == [topic for topic, _ in expected]
    assert dropped <= {"F1"}
    differences = {quirk(*one, btmon) for one, (_, btmon) in zip(rest, expected, strict=True)}
    assert differences <= {"", "A1", "A13"}


def test_f1_a_zero_is_published(broker: Mosquitto, opened: Opened) -> None:
    """QUIRKS F1: a load that is off is 0 on its topic, where btmon left the last value for ever."""
    name = "gem48ptbin_steady.map"
    topic = "/house/energy/01021234_ch5_w"
    assert topic not in dict(btmon_published(name))
    assert dict(published(broker, opened, name))[topic] == 0


def test_a4_a_zero_has_no_sign(broker: Mosquitto, opened: Opened) -> None:
    """QUIRKS A4: an idle channel is 0.0, not -0.0."""
    name = "gem48ptbin_steady.map"
    with Listener(broker) as listener:
        sink = opened(broker.port)
        sink.process_batch(batches_of(name)[0])
        listener.settle()
    assert set(listener.payloads("/house/energy/01021234_ch5_w")) == {"0.0"}


def test_b1_a_sensor_that_is_not_there_has_no_topic(broker: Mosquitto, opened: Opened) -> None:
    """QUIRKS B1: btmon had 0 degrees for no sensor, and did not publish it by F1; here nothing is published of it."""
    name = "gem48ptbin_steady.nomap"
    missing = [label for label in ("t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8") if not sensor(name, label)]
    found = {topic for topic, _ in published(broker, opened, name)}
    assert missing
    assert found.isdisjoint(f"/house/energy/01021234_{label}" for label in missing)


def sensor(name: str, label: str) -> bool:
    """Whether a recorded meter ever measured a temperature."""
    return any(one.get(label) is not None for one in recorded_readings(load(name)["input"]["stream"]))


def test_f2_pulses_are_written_as_btmon_wrote_them(broker: Mosquitto, opened: Opened) -> None:
    """QUIRKS F2: all numbers have a fraction, pulses too, as whoever reads them expects; `digits = 0` leaves it out."""
    name = "gem48ptbin_steady.nomap"
    with Listener(broker) as listener:
        opened(broker.port).process_batch(batches_of(name)[0])
        opened(broker.port, digits=0, base_topic="short").process_batch(batches_of(name)[0])
        listener.settle()
    (first, *_), (short, *_) = (listener.payloads(f"{base}/01021234_p1") for base in ("/house/energy", "short"))
    assert (first, short) == ("120348.0", "120348")


def test_f3_each_message_may_have_its_time(broker: Mosquitto, opened: Opened) -> None:
    """QUIRKS F3: the readings of a batch go out at once, oldest first; with `timestamps` each says when it was."""
    name = "ecm1240bin_steady.nomap"
    with Listener(broker) as listener:
        opened(broker.port, timestamps=True, units=True).process_batch(batches_of(name)[0])
        listener.settle()
    found = listener.states("/house/energy/312345_volts")
    assert found[0] == {"time": "2023-11-14T22:13:30Z", "value": 120.9, "unit": "V"}
    assert [one["time"] for one in found] == sorted(one["time"] for one in found)
    assert len(found) == 4


def test_e4_a_dry_run_publishes_nothing(broker: Mosquitto) -> None:
    """QUIRKS E4: where btmon sent in spite of skip_upload, a dry run shows the messages and opens no connection."""
    sink = Mqtt(host="127.0.0.1", port=1)
    lines = preview_batches(sink, batches_of("ecm1240bin_steady.skip_upload"))
    assert lines[0] == "/house/energy/312345_volts 120.9"


@pytest.mark.parametrize(
    ("name", "settings", "key"),
    [
        ("passwd_without_user", {"password": Secret("secret")}, "user"),
        ("bad_will", {"status_topic": "{topic}/#"}, "status_topic"),
        ("bad_tls", {"tls_ca": Path("ca.crt")}, "tls_ca"),
    ],
)
def test_what_btmon_refused_is_refused(name: str, settings: dict[str, Any], key: str) -> None:
    """What btmon did not start with is a mistake in the configuration, named by its key."""
    assert load(f"ecm1240bin_steady.{name}")["setup"]["exit"] == 1
    assert [problem.key for problem in Mqtt(**settings).check()] == [key]


def test_the_will_is_what_btmon_s_was(broker: Mosquitto, opened: Opened) -> None:
    """Btmon's example of a will is what is always there: `offline`, kept by the broker, when the program is gone."""
    will = load("ecm1240bin_steady.qos_retain_will_tls")["passes"][0]["batches"][0]["publish"][0]["kwargs"]["will"]
    sink = opened(broker.port)
    assert broker.retained() == {"/house/energy/status": "online"}
    sink._connection.abandon()
    with Listener(broker, will["topic"]) as listener:
        listener.settle()
        wait_for(lambda: listener.messages[-1] == (will["topic"], will["payload"]), "the last will")
