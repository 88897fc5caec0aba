# SPDX-License-Identifier: GPL-3.0-or-later
"""The source that btmon read, as a table `[source.…]`; others that were switched on it did not read: doubts."""

from collections.abc import Callable, Mapping

from btmon_migrate.databases import database_source
from btmon_migrate.given import Options
from btmon_migrate.toml import NOT_COMPLETE, Table, Toml
from btmon_migrate.values import carry, carry_seconds, duration, number, path, seconds

SERVER_PORT = 8083
"""The port that btmon listened on, unless told otherwise."""

NO_WAIT = "1s"
"""What is written for polling without a wait."""


def sources(options: Options) -> list[Table]:
    """Return the source that btmon took: the first of those that are switched on, in its order."""
    on = [name for name in READERS if options.is_on(name)]
    for name in on[1:]:
        options.doubts.add(
            options.where(name), f"{name}: btmon read one source, and that was {on[0]}; this one is left out"
        )
        for unused, _ in options.unused(name.split("_", maxsplit=1)[0] + "_"):
            options.use(unused)
    return [READERS[on[0]](options)] if on else []


def _serial(options: Options) -> Table:
    table = Table("source.meter", plugin="serial")
    table.set("use", "serial")
    port = options.text("serial_port", "/dev/ttyUSB0")
    table.set("port", port)
    if port.upper().startswith("COM"):
        options.doubts.add(
            options.where("serial_port"), f"serial_port = {port} is a port of Windows, on which btcore does not run"
        )
    table.set("baud", number(options, "serial_baud", 19200))
    _polling(options, table, "serial_poll_interval")
    _clock(options, table)
    return table


def _ip(options: Options) -> Table:
    return _client(options) if options.text("ip_mode", "server") == "client" else _server(options)


def _server(options: Options) -> Table:
    table = Table("source.meter", plugin="tcp-server")
    table.set("use", "tcp-server")
    carry(options, table, {"ip_host": "host"})
    table.set("port", port := number(options, "ip_port", SERVER_PORT))
    if not port:
        options.doubts.add(
            options.where("ip_port"),
            "ip_port = 0: this computer takes any free port, each time another; write the one that the meter sends to",
        )
    options.use("ip_poll_interval", "device_list")
    mode = options.text("ip_mode", "server")
    if mode != "server":
        options.doubts.add(options.where("ip_mode"), f"ip_mode = {mode}: expected server or client; server is written")
    _clock(options, table)
    return table


def _client(options: Options) -> Table:
    table = Table("source.meter", plugin="tcp-client")
    table.set("use", "tcp-client")
    host = options.text("ip_host")
    if host:
        table.set("host", host)
    else:
        table.switch_off(NOT_COMPLETE)
        table.set("host", "192.168.1.20", "which host the meter or its gateway is")
        options.doubts.add(
            options.where("ip_mode"),
            "ip_mode = client without ip_host: write the host, and remove the # before the table",
        )
    table.set("port", number(options, "ip_port", 5000))
    _polling(options, table, "ip_poll_interval")
    _clock(options, table)
    return table


def _polling(options: Options, table: Table, name: str) -> None:
    given = options.get(name)
    wait = seconds(options, name)
    if given is None or wait is None:
        options.use("device_list")
        return
    if wait == 0:
        table.set("poll_interval", NO_WAIT)
        options.doubts.add(
            given.where,
            f'{name} = 0: btmon did not wait for the meter but asked it again and again, as "0" was a text to it;'
            f" {NO_WAIT} is written. If the meter sends by itself, remove poll_interval and devices",
        )
    else:
        table.set("poll_interval", duration(wait))
    table.settings |= _devices(options)


def _devices(options: Options) -> dict[str, Toml]:
    is_gem = options.text("device_type", "ecm1240") == "gem"
    written = options.text("device_list", "" if is_gem else "fc")
    if ", " in written:
        options.doubts.add(
            options.where("device_list"),
            f"device_list = {written}: btmon refused the blanks behind the commas; they are left out",
        )
    devices = [device.strip().lower() for device in written.split(",") if device.strip()]
    return {"devices": devices} if devices else {}


def _clock(options: Options, table: Table) -> None:
    options.use("device_clock_is_utc")
    if options.is_on("trust_device_clock"):
        table.set("clock", "device-utc" if options.is_on("device_clock_is_utc") else "device-local")


def _rrd(options: Options) -> Table:
    table = Table("source.meter", plugin="rrd")
    table.set("use", "rrd")
    path(options, table, "rrd_src_dir", "dir", "rrd")
    carry(options, table, {"packet_format": "format"})
    carry_seconds(options, table, {"rrd_poll_interval": "poll_interval", "rrd_src_step": "step"})
    options.doubts.add(
        options.where("rrd_read"), "rrd_read: btmon ended with an error when it read RRD files; btcore reads them"
    )
    return table


READERS: Mapping[str, Callable[[Options], Table]] = {
    "serial_read": _serial,
    "ip_read": _ip,
    "mysql_read": lambda options: database_source(options, "mysql"),
    "sqlite_read": lambda options: database_source(options, "sqlite"),
    "rrd_read": _rrd,
}
"""The sources of btmon, in the order in which it took the first that was switched on."""
