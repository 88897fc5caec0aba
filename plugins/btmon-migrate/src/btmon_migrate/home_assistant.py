# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant's integration `greeneye_monitor`: its meters, by the MQTT that Home Assistant understands as well."""

import re
from collections.abc import Iterator

from btmon_migrate.site import Site
from btmon_migrate.toml import Table, Toml
from btmon_migrate.yaml_channels import named, set_once
from btmon_migrate.yaml_file import Node

DOMAIN = "greeneye_monitor"

WATER, ENERGY = ("gal", "l"), ("wh", "kwh", "mwh")
"""Units that tell what is counted. Cubic metres and feet may be of water or gas."""

NEW_ENTITIES = (
    "The meters come to Home Assistant by its MQTT integration, as new entities. Remove greeneye_monitor from its"
    " configuration, then give the new entities the names of the old ones: so their history goes on."
)


def is_home_assistant(node: Node) -> bool:
    """Whether this is a configuration of Home Assistant, all of it or the integration's part."""
    return DOMAIN in node.values or {"port", "monitors"} <= node.values.keys()


def home_assistant_site(node: Node) -> Site:
    """Make a site of the integration's part."""
    part = node.node(DOMAIN) if DOMAIN in node.values else node
    channels, source = Table("channels"), Table("source.meters", plugin="tcp-server")
    serials = [serial for monitor in part.nodes("monitors") if (serial := _monitor(monitor, channels))]
    source.set("use", "tcp-server")
    source.set("port", part.number("port", 8000))
    if serials:
        source.set("meters", serials, "others are refused; left out: any meter")
    sink = _sink(part)
    site = Site(f"{node.path} (Home Assistant)", [Table("", {"polarity": "brultech"}), source, sink, channels])
    if not channels.settings:
        site.tables.remove(channels)
    return site


def _sink(part: Node) -> Table:
    sink = Table("sink.homeassistant", plugin="mqtt", about=[NEW_ENTITIES])
    sink.set("use", "mqtt")
    sink.set("host", "localhost", "the broker that Home Assistant uses")
    sink.set("homeassistant", value=True)
    units = {unit for monitor in part.nodes("monitors") if (unit := _temperature_unit(monitor))}
    if units == {"F"}:
        sink.set("temperature_unit", "F")
    elif len(units) > 1:
        part.doubt("temperature_unit: some meters are set to C and some to F; C is written for all")
    part.doubt(f"Home Assistant gets its meters by MQTT: see that host, user and password of [{sink.header}] are right")
    return sink


def _temperature_unit(monitor: Node) -> str:
    return monitor.node("temperature_sensors").text("temperature_unit").strip("°").upper()


def _monitor(monitor: Node, channels: Table) -> str:
    """Add the channels of a meter; return its serial number, "" if it has none."""
    serial = monitor.text("serial_number")
    if not re.fullmatch(r"\d{8}", serial):
        monitor.doubt(f"serial_number: expected eight digits, found {serial or 'none'}; the meter is left out")
        return ""
    for node, label, value in _channels(monitor):
        set_once(node, channels, f"{serial}_{label}", value)
    return serial


def _channels(monitor: Node) -> Iterator[tuple[Node, str, Toml]]:
    for one in monitor.nodes("channels"):
        yield from ((one, *found) for found in named(one, "ch", 48))
    for one in monitor.node("temperature_sensors").nodes("sensors"):
        yield from ((one, *found) for found in named(one, "t", 8))
    for one in monitor.nodes("pulse_counters"):
        yield from ((one, label, _pulses(one, name)) for label, name in named(one, "p", 4))
    for one in monitor.nodes("voltage"):
        if name := one.text("name"):
            one.doubt(f"name: the voltage is not called {name}: rename its entity in Home Assistant")


def _pulses(node: Node, name: str) -> Toml:
    entry: dict[str, Toml] = {"name": name}
    if unit := node.text("counted_quantity").strip():
        entry["unit"] = unit
    per_pulse = node.text("counted_quantity_per_pulse", "1")
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", per_pulse):
        entry["per_pulse"] = float(per_pulse)
    else:
        node.doubt(f"counted_quantity_per_pulse: expected a number, found {per_pulse}; it is left out")
    kinds = {**dict.fromkeys(WATER, "water"), **dict.fromkeys(ENERGY, "energy")}
    if kind := kinds.get(unit.lower()):
        entry["class"] = kind
    if time := node.text("time_unit"):
        node.doubt(f"time_unit = {time}: what is counted is shown, not its rate; a derivative sensor shows that")
    return entry
