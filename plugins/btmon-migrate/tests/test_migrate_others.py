# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of other programs become a site.toml: Home Assistant's greeneye_monitor and brultech-serial2mqtt."""

from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from btcore.cli import main
from btmon_migrate.given import Doubts
from btmon_migrate.home_assistant import home_assistant_site
from btmon_migrate.serial2mqtt import serial2mqtt_site
from btmon_migrate.yaml_file import Node

OTHERS = Path(__file__).parent / "golden" / "others"


def migrate(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], list[str]]:
    """Migrate a file; return the site, which passes btcore check, and the doubts."""
    site = tmp_path / "site.toml"
    assert main(["migrate", str(file), "-o", str(site)]) == 1
    doubts = capsys.readouterr().err.splitlines()
    assert main(["check", str(site)]) == 0
    return tomli.loads(site.read_text()), [doubt.removeprefix(f"btcore migrate: {file.name}: ") for doubt in doubts]


def test_home_assistant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Meters, channels, sensors and pulse counters of greeneye_monitor keep their numbers, names and units."""
    site, doubts = migrate(OTHERS / "configuration.yaml", tmp_path, capsys)
    assert site["source"] == {"meters": {"use": "tcp-server", "port": 8000, "meters": ["01000777", "01000778"]}}
    sink = {"use": "mqtt", "host": "localhost", "homeassistant": True, "temperature_unit": "F"}
    assert site["sink"] == {"homeassistant": sink}
    assert site["polarity"] == "brultech"
    assert site["channels"] == {
        "01000777_ch1": "mains",
        "01000777_ch2": "heat pump",
        "01000777_ch40": "cellar",
        "01000777_t1": "attic",
        "01000777_p1": {"name": "water", "unit": "gal", "per_pulse": 0.5, "class": "water"},
        "01000777_p2": {"name": "gas", "unit": "m³", "per_pulse": 1.0},
    }
    of = "greeneye_monitor: monitors"
    sink_to_see = "see that host, user and password of [sink.homeassistant] are right"
    rate = "what is counted is shown, not its rate; a derivative sensor shows that"
    assert doubts == [
        f"{of} 1: pulse_counters 1: time_unit = min: {rate}",
        f"{of} 1: voltage 1: name: the voltage is not called house voltage: rename its entity in Home Assistant",
        f"{of} 2: channels 1: number: expected 1 to 48; it is left out",
        f"{of} 3: serial_number: expected eight digits, found 778; the meter is left out",
        f"greeneye_monitor: Home Assistant gets its meters by MQTT: {sink_to_see}",
    ]


def test_serial2mqtt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line, the broker and the names of channels are carried over; the meter goes by its name."""
    site, doubts = migrate(OTHERS / "serial2mqtt.yml", tmp_path, capsys)
    assert site["source"]["meter"] == {"use": "serial", "port": "/dev/ttyUSB0", "baud": 115200}
    assert site["meters"] == {"main-panel": {"source": "meter"}}
    assert site["channels"] == {"main-panel_ch1": "mains", "main-panel_ch2": "roof", "main-panel_ch3": "fridge"}
    broker = {"host": "homeassistant.local", "port": 1883, "user": "meter", "qos": 1, "tls": True}
    assert site["sink"]["mqtt"] == {**broker, "homeassistant": True}
    assert {":".join(doubt.split(":")[:2]) for doubt in doubts} == {
        "device: channels 3",
        "device: send_interval_seconds",
        "mqtt: password",
        "mqtt: topic_prefix",
    }


def test_of_two_names_the_first_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A channel that is named twice keeps its first name; one that no meter has is left out alone."""
    file = tmp_path / "serial2mqtt.yaml"
    channels = "{number: 1, name: mains}, {number: 1, name: roof}, {number: 49, name: none}, {number: 2}"
    file.write_text(f"device: {{url: /dev/ttyS0, baud: 19200, channels: [{channels}]}}\nmqtt: {{broker: localhost}}\n")
    site, doubts = migrate(file, tmp_path, capsys)
    assert site["channels"] == {"meter_ch1": "mains"}
    assert doubts == [
        "device: channels 2: number: meter_ch1 has a name already; this one is left out",
        "device: channels 3: number: expected 1 to 48; it is left out",
    ]


def test_what_is_no_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no YAML, or of neither program, is one clear line with its place, and exit code 69."""
    broken, other = tmp_path / "broken.yaml", tmp_path / "other.yaml"
    broken.write_text("a: [1\nb: }")
    other.write_text("light: kitchen")
    assert [main(["migrate", str(file)]) for file in (broken, other)] == [69, 69]
    first, second = capsys.readouterr().err.splitlines()
    assert "broken.yaml:2: this is no YAML" in first
    assert "expected greeneye_monitor" in second


KEYS = [
    *("greeneye_monitor", "monitors", "channels", "serial_number", "number", "name", "pulse_counters", "port"),
    *("device", "mqtt", "url", "broker", "tls_options", "usetls", "home_assistant", "sensors", "temperature_sensors"),
]
VALUES = st.recursive(
    st.text(max_size=5) | st.none() | st.sampled_from(["01000777", "1", "true", "socket://[x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_whatever_the_file_holds_makes_toml(content: dict[str, Any]) -> None:
    """No list in place of a table, nor a table in place of a text, is more than a doubt."""
    for make in (home_assistant_site, serial2mqtt_site):
        tomli.loads(make(Node("file.yaml", content, Doubts())).text())
