# SPDX-License-Identifier: GPL-3.0-or-later
"""brultech-serial2mqtt: one meter on a serial line, published to MQTT for Home Assistant."""

import re
from urllib.parse import urlsplit

from btmon_migrate.site import Site
from btmon_migrate.toml import SecretText, Table
from btmon_migrate.yaml_channels import named, set_once
from btmon_migrate.yaml_file import Node

TLS = {"ca_certs": "tls_ca", "certfile": "tls_cert", "keyfile": "tls_key"}
NOT_NEEDED = {
    "send_interval_seconds": "the meter sends as it is set: btcore device shows and changes it",
    "packet_delay_clear_seconds": "btcore waits by itself",
}
NEW_TOPICS = (
    "Home Assistant gets the meter as a new device, with the topics of btcore. Give its entities the names of the old"
    " ones: so their history goes on."
)


def is_serial2mqtt(node: Node) -> bool:
    """Whether this is a configuration of brultech-serial2mqtt."""
    return {"device", "mqtt"} <= node.values.keys()


def serial2mqtt_site(node: Node) -> Site:
    """Make a site of a configuration."""
    device = node.node("device")
    name = re.sub(r"[^a-z0-9-]+", "-", device.text("name", "meter").lower()).strip("-") or "meter"
    meters = Table("meters", {name: {"source": "meter"}}, about=["The meter goes by this name, as no number is given."])
    channels = Table("channels")
    for channel in device.nodes("channels"):
        label = ""
        for label, title in named(channel, "ch", 48):
            set_once(channel, channels, f"{name}_{label}", title)
        if label and channel.text("home_assistant") and not channel.is_on("home_assistant", default=True):
            channel.doubt(f"home_assistant: {label} is shown in Home Assistant; disable it there")
    tables = [Table("", {"polarity": "brultech"}), _source(device), _sink(node.node("mqtt")), meters, channels]
    return Site(f"{node.path} (brultech-serial2mqtt)", [one for one in tables if one.settings])


def _source(device: Node) -> Table:
    source = Table("source.meter")
    url = urlsplit(device.text("url", "/dev/ttyUSB0"))
    if url.scheme in {"socket", "rfc2217"} and url.hostname:
        source.plugin = "tcp-client"
        source.settings |= {"use": "tcp-client", "host": url.hostname, "port": url.port or 5000}
    else:
        source.plugin = "serial"
        source.settings |= {"use": "serial", "port": url.path, "baud": device.number("baud", 115200)}
    for option, why in NOT_NEEDED.items():
        if device.text(option):
            device.doubt(f"{option}: {why}")
    return source


def _sink(mqtt: Node) -> Table:
    sink = Table("sink.mqtt", plugin="mqtt", about=[NEW_TOPICS])
    sink.set("host", mqtt.text("broker", "localhost"))
    is_encrypted = mqtt.is_on("usetls", default=False)
    sink.set("port", mqtt.number("port", 1883))
    if user := mqtt.text("username"):
        sink.set("user", user)
    if password := mqtt.text("password"):
        sink.set("password", SecretText(password))
    if (quality := mqtt.number("qos", 0)) in {1, 2}:
        sink.set("qos", quality)
    if is_encrypted:
        _encrypt(mqtt.node("tls_options"), sink)
    home_assistant = mqtt.node("home_assistant")
    sink.set("homeassistant", home_assistant.is_on("enable", default=True))
    if prefix := home_assistant.text("discovery_prefix"):
        sink.set("discovery_prefix", prefix)
    for option in ("topic_prefix", "client_id"):
        if given := mqtt.text(option):
            mqtt.doubt(f"{option}: {given} is left out: btcore has topics of its own, see base_topic of btmon-mqtt")
    return sink


def _encrypt(options: Node, sink: Table) -> None:
    sink.set("tls", value=True)
    for option, setting in TLS.items():
        if file := options.text(option):
            sink.set(setting, file)
    if not options.is_on("cert_reqs", default=True):
        options.doubt("cert_reqs: btcore always checks the certificate of the broker; tls_ca names one of your own")
