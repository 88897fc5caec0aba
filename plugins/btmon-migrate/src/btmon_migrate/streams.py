# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon printed, published to an MQTT broker and wrote to InfluxDB, as sinks. Topics and series go on."""

import json
import re

from btmon_migrate.given import Options
from btmon_migrate.toml import NOT_COMPLETE, SecretText, Table, Toml
from btmon_migrate.values import carry, carry_seconds, number, pairs

MQTT_PORT = 1883
QOS = (0, 1, 2)
TLS = {"ca_certs": "tls_ca", "certfile": "tls_cert", "keyfile": "tls_key"}
"""The parts of `mqtt_tls`."""

OFFLINE = "offline"
"""The last will of btcore."""

MODES = ("col", "row", "dotted")


def print_sink(options: Options) -> list[Table]:
    """Return the sink that prints, if it is switched on."""
    if not options.is_on("print_out"):
        return []
    table = Table("sink.print", plugin="print")
    if options.is_on("include_current"):
        table.set("current", value=True)
    return [table]


def stream_sinks(options: Options) -> list[Table]:
    """Return MQTT and InfluxDB, if they are switched on."""
    makers = {"mqtt_out": _mqtt, "influxdb_out": _influxdb}
    for switch in makers:
        if not options.is_on(switch):
            options.use(*(name for name, _ in options.unused(switch.removesuffix("out"))))
    return [make(options) for switch, make in makers.items() if options.is_on(switch)]


def _mqtt(options: Options) -> Table:
    table = Table("sink.mqtt", plugin="mqtt")
    table.set("host", options.text("mqtt_host", "localhost"))
    table.set("port", number(options, "mqtt_port", MQTT_PORT))
    carry(options, table, {"mqtt_clientid": "client_id", "mqtt_user": "user"})
    if password := options.text("mqtt_passwd"):
        table.set("password", SecretText(password))
    table.set("base_topic", options.text("mqtt_base_topic", "/house/energy"))
    _quality(options, table)
    if options.is_on("mqtt_retain"):
        table.set("retain", value=True)
    _tls(options, table)
    _will(options, table)
    if found := pairs(options, "mqtt_map"):
        table.set("map", dict(found))
    if options.is_on("include_current"):
        table.set("include_current", value=True)
    carry_seconds(options, table, {"mqtt_upload_period": "flush_interval"})
    return table


def _quality(options: Options, table: Table) -> None:
    given = options.get("mqtt_qos")
    quality = number(options, "mqtt_qos", 0)
    if quality not in QOS:
        options.doubts.add(given.where if given else "", f"mqtt_qos = {quality}: expected 0, 1 or 2; it is left out")
    elif given:
        table.set("qos", quality)


def _tls(options: Options, table: Table) -> None:
    given = options.get("mqtt_tls")
    if given is None:
        return
    table.set("tls", value=True)
    for name, value in _object(options, "mqtt_tls").items():
        if name in TLS and isinstance(value, str):
            table.set(TLS[name], value)
        elif value is not None:
            options.doubts.add(given.where, f"mqtt_tls: {name} is left out: btcore takes what is safe on this computer")


def _will(options: Options, table: Table) -> None:
    given = options.get("mqtt_will")
    will = _object(options, "mqtt_will")
    topic, payload = will.get("topic"), will.get("payload", OFFLINE)
    if isinstance(topic, str):
        table.set("status_topic", topic, "online or offline, and kept by the broker")
        if given and payload != OFFLINE:
            options.doubts.add(given.where, f"mqtt_will: the last will is {OFFLINE} here, not {payload}")


def _object(options: Options, name: str) -> dict[str, object]:
    """Return an option that is a JSON object; what is none becomes a doubt."""
    text = options.text(name)
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    options.doubts.add(options.where(name), f"{name}: expected a JSON object, in {{}}; it is left out")
    return {}


def _influxdb(options: Options) -> Table:
    table = Table("sink.influxdb", plugin="influxdb")
    table.set("url", f"http://{_host(options)}:{number(options, 'influxdb_port', 8086)}")
    carry(options, table, {"influxdb_database": "database", "influxdb_username": "user"})
    if password := options.text("influxdb_password"):
        table.set("password", SecretText(password))
    carry(options, table, {"influxdb_measurement": "measurement"})
    _layout(options, table)
    tags: dict[str, Toml] = dict(pairs(options, "influxdb_tags"))
    if tags:
        table.set("tags", tags)
    if found := pairs(options, "influxdb_map"):
        table.set("map", dict(found))
    table.set("serials", "full" if options.is_on("full_serials") else "short")
    options.use("influxdb_timeout")  # btmon never used it
    carry_seconds(options, table, {"influxdb_upload_period": "flush_interval"})
    _complete(options, table)
    return table


def _host(options: Options) -> str:
    """Return InfluxDB's host as an address has it. One that was written as an address becomes a doubt."""
    written = options.text("influxdb_host", "localhost")
    host = re.sub(r"^https?://|/+$", "", written)
    if host != written:
        options.doubts.add(
            options.where("influxdb_host"), f"influxdb_host = {written}: expected a name; {host} is written"
        )
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


def _layout(options: Options, table: Table) -> None:
    schema, mode = options.text("influxdb_db_schema", "counters"), options.text("influxdb_mode", "col")
    if mode not in MODES:
        options.doubts.add(
            options.where("influxdb_mode"),
            f"influxdb_mode = {mode}: btmon took any text but col and dotted for row; row is written",
        )
        mode = "row"
    table.set("schema", schema)
    table.set("mode", mode)


def _complete(options: Options, table: Table) -> None:
    if "database" not in table.settings:
        table.switch_off(NOT_COMPLETE)
        table.set("database", "")
        options.doubts.add(options.where("influxdb_out"), "influxdb_out: influxdb_database must be set; fill it in")
