# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings choose and name, and the mistakes in them that are found before anything is opened."""

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.configured_sink import sink_from_toml
from helpers.golden_streams import recorded_readings
from helpers.plugin_calls import make_context, preview_batches
from helpers.samplers import samples_between
from hypothesis import given
from hypothesis import strategies as st

from btcore import Batch, Channel, ChannelRef, Claim, Format, Reading
from btcore.errors import ConfigurationError
from btmon_mqtt.sink import Mqtt
from btmon_mqtt.topics import join, level, topic_problem


def batch_of(stream: str = "ecm1240bin_steady") -> Batch:
    """Return the first two readings of a recorded stream."""
    found = recorded_readings(stream)[:2]
    return Batch(tuple(found), tuple(samples_between(found)))


def lines(*, batch: Batch | None = None, names: dict[str, str] | None = None, **settings: Any) -> list[str]:  # noqa: ANN401
    """Return what would be published of two readings."""
    context = make_context(dry_run=True, **(names or {}))
    return preview_batches(Mqtt(base_topic="e", **settings), [batch or batch_of()], context)


def test_topics_by_template() -> None:
    """A template has the serial number, the channel, its name, the label and the kind of number."""
    found = lines(topic="{serial}/{name}/{channel}/{kind}", names={"312345_ch1": "mains"})
    assert "e/312345/mains/ch1/w 1536.4" in found
    assert any(line.startswith("e/312345/312345_volts/volts/value ") for line in found)


def test_a_name_is_one_level_of_a_topic() -> None:
    """What a name has of the characters that mean something in topics is replaced."""
    found = lines(topic="{name}/{kind}", names={"312345_ch1": "a/b +1 #2"})
    assert "e/a_b _1 _2/w 1536.4" in found
    assert all(topic_problem(line.rpartition(" ")[0]) == "" for line in found)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_name_makes_a_topic(name: str) -> None:
    """Whatever a channel or a meter is called, it is one level of a topic that brokers take."""
    found = join("e", level(name))
    assert found.count("/") == 1
    assert topic_problem(found) == "" or not name.isprintable()
    assert re.fullmatch(r"[^+#\x00]+", found)


def test_channels_choose_what_is_published() -> None:
    """A channel is all its numbers, a label is one, also one that is not published otherwise."""
    chosen = (ChannelRef("312345", "ch1"), ChannelRef("", "volts"), ChannelRef("312345", "ch2_pwh_total"))
    topics = [line.split()[0] for line in lines(channels=chosen)]
    assert topics == [f"e/312345_{label}" for label in ("volts", "ch1_w", "ch1_wh", "ch1_dwh", "ch2_pwh_total")]
    assert lines(channels=(ChannelRef("999999", "ch1"),)) == []


def test_a_map_names_numbers_and_adds_those_that_it_names() -> None:
    """A mapped number has that topic, in JSON that key; a number that only the map has is published as well."""
    names = {ChannelRef("312345", "ch1_w"): "mains", ChannelRef("312345", "ch1_pwh_total"): "total/in"}
    topics = [line.split()[0] for line in lines(map=names)]
    assert topics[:2] == ["e/312345_volts", "e/mains"]
    assert topics[-1] == "e/total/in"
    (line,) = lines(map=names, json=True)
    assert json.loads(line.partition(" ")[2])["mains"] == 1536.4


def test_json_has_all_numbers_of_a_meter() -> None:
    """One message a reading: its time, its length, every number by label, and null where there is none."""
    (line,) = lines(json=True, batch=batch_of("gem48ptbin_steady"))
    topic, _, text = line.partition(" ")
    table = json.loads(text)
    assert topic == "e/01021234/json"
    assert (table["time"], table["serial"], table["seconds"]) == ("2023-11-14T22:13:30Z", "01021234", 10)
    assert table["t3"] is None
    assert table["p1"] == 120348.0


def test_numbers_with_units_times_and_digits() -> None:
    """Each is a setting of its own."""
    assert "e/312345_ch1_w 1536 W" in lines(units=True, digits=0)
    assert 'e/312345_ch1_w {"time":"2023-11-14T22:13:30Z","value":1536.4}' in lines(timestamps=True)
    (line,) = lines(json=True, units=True)
    assert json.loads(line.partition(" ")[2])["ch1_wh"]["unit"] == "Wh"


def test_currents_are_published_where_that_is_wanted() -> None:
    """Btmon's switch for amperes."""
    assert not [line for line in lines() if "_a " in line]
    assert [line for line in lines(include_current=True) if line.startswith("e/312345_ch1_a ")]


def test_serial_numbers_may_be_shortened() -> None:
    """Nothing that is published has a complete serial number then."""
    found = lines(serials="short", json=True, values=True, homeassistant=True)
    assert found
    assert "312345" not in "".join(found)
    assert "XXX345" in found[0]


def test_a_meter_of_another_make_has_its_sensors() -> None:
    """What a decoder calls its numbers is published, whatever that is; counters and the flag are not."""
    form = Format("acme", ("secs", "volts", "pv 1 ws", "heat/in"), (Channel("pv 1", "pv 1 ws"),), lambda _raw: ())
    from helpers.counter_readings import reading_at  # noqa: PLC0415 - for this test alone

    readings = [reading_at(0, 0, form), reading_at(10, 10, form, **{"pv 1 ws": 100, "heat/in": 20.5})]
    readings = [attrs.evolve(one, numbers=one.numbers, origin="recorded") for one in readings]
    batch = Batch(tuple(readings), tuple(samples_between(readings)))
    found = lines(batch=batch, homeassistant=True, values=True)
    assert found[:3] == ["e/312345_volts 0.0", "e/312345_pv 1_w 10.0", f"e/312345_pv 1_wh {round(100 / 3600, 3)}"]
    assert "e/312345_heat_in 20.5" in found
    state = json.loads(found[-1].partition(" ")[2])
    assert (state["pv_1_power"], state["heat_in"]) == (10.0, 20.5)


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ('topic = "{serial}/{chanel}"', "topic", "{chanel} is unknown; a template may contain {serial}, {label},"),
        ('topic = "{serial}/{channel}"', "topic", "several numbers would have one topic: it needs {label}, or"),
        ('topic = "{serial"', "topic", "a brace does not fit"),
        ('topic = "{serial}/{label}/#"', "topic", "a topic to publish to has no + and no #"),
        ('entity_name = "{label}"', "entity_name", "a template may contain {name}, {quantity}"),
        ('base_topic = "energy/#"', "base_topic", "a topic to publish to has no + and no #"),
        ("values = false", "values", "nothing would be published: set values, json or homeassistant"),
        ("json = true\ntimestamps = true", "timestamps", "it is used with values = true alone"),
        ('map = { ch1_w = "a+b" }', "map", "ch1_w: a topic to publish to has no +"),
        ('tls_ca = "ca.crt"', "tls_ca", "it is used with tls = true alone"),
        ('tls = true\ntls_ca = "none.crt"', "tls_ca", "there is no file"),
        ('host = ""', "host", "expected a name or an address"),
        ('host = "broker:1883"', "host", "without a port, found 'broker:1883'"),
        ('password = "s3cret"', "user", "needed with password"),
        ("qos = 3", "qos", "expected one of 0, 1, 2, found 3"),
        ("port = 70000", "port", "expected a whole number from 0 to 65535"),
        ('serials = "long"', "serials", 'expected one of "full", "short"'),
    ],
)
def test_a_mistake_is_named_with_its_key(table: str, key: str, text: str, tmp_path: Path) -> None:
    """Where it is, what was expected, and never a secret."""
    with pytest.raises(ConfigurationError) as error:
        sink_from_toml(tmp_path, f"[sink.mqtt]\n{table}\n")
    (problem,) = error.value.problems
    assert f"[sink.mqtt] {key}" in str(problem)
    assert text in str(problem)
    assert "s3cret" not in str(error.value)


def test_two_sinks_that_would_contradict_each_other_claim_the_same() -> None:
    """Two with one status topic on one broker: the end of one would say that the other is gone."""
    first, second = (Mqtt(host="broker", client_id=name) for name in ("a", "b"))
    shared = {one.what for one in first.claims()} & {one.what for one in second.claims()}
    assert shared == {"topic /house/energy/status of the MQTT broker broker:1883"}
    assert Claim("client a of the MQTT broker broker:1883", key="client_id") in set(first.claims())


def test_the_port_is_that_of_the_protocol() -> None:
    """1883, or 8883 with TLS, unless it is set."""
    ports = [Mqtt(**settings)._login().port for settings in ({}, {"tls": True}, {"tls": True, "port": 1})]
    assert ports == [1883, 8883, 1]


def test_what_is_not_selected_is_not_delivered() -> None:
    """Of a batch that the settings want nothing of, nothing counts as delivered, so that mended settings get it."""
    sink = Mqtt(channels=(ChannelRef("999999", "ch1"),))
    used: set[Any] = set()
    sink.open(make_context(dry_run=True))
    assert list(sink._numbers(batch_of(), used)) == []
    assert used == set()
    assert isinstance(batch_of().readings[0], Reading)
