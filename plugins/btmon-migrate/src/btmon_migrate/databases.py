# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon's databases and RRD files as sinks, and its databases as sources. New rows follow btmon's in its tables."""

from btmon_migrate.given import Options
from btmon_migrate.toml import SecretText, Table
from btmon_migrate.values import carry, carry_seconds, duration, path, seconds

BATCH = 60
"""Seconds for which btmon gathered readings, unless told otherwise."""

SCHEMAS = ("counters", "ecmread", "ecmreadext")


def database_sinks(options: Options) -> list[Table]:
    """Return the databases that are switched on."""
    makers = {"mysql_out": _mysql, "sqlite_out": _sqlite, "rrd_out": _rrd}
    return [make(options) for name, make in makers.items() if options.is_on(name)]


def database_source(options: Options, plugin: str) -> Table:
    """Return the database that btmon read. Only the schema `counters` can be read."""
    table = Table("source.meter", plugin=plugin)
    table.set("use", plugin)
    if plugin == "mysql":
        _server(options, table, "mysql_src_")
    else:
        path(options, table, "sqlite_src_file", "file", "ecm.db")
    carry(options, table, {f"{plugin}_src_table": "table"})
    if "table" in table.settings:
        table.set("format", _format(options))
    carry_seconds(options, table, {f"{plugin}_poll_interval": "poll_interval"})
    return table


def _mysql(options: Options) -> Table:
    table = Table("sink.mysql", plugin="mysql")
    _server(options, table, "mysql_")
    _storage(options, table, "mysql")
    return table


def _server(options: Options, table: Table, prefix: str) -> None:
    table.set("host", options.text(f"{prefix}host", "localhost"))
    table.set("user", options.text(f"{prefix}user", "ecmuser"))
    table.set("password", SecretText(options.text(f"{prefix}passwd", "ecmpass")))
    table.set("database", options.text(f"{prefix}database", "ecm"))


def _sqlite(options: Options) -> Table:
    table = Table("sink.sqlite", plugin="sqlite")
    path(options, table, "sqlite_file", "file", "ecm.db")
    _storage(options, table, "sqlite")
    return table


def _storage(options: Options, table: Table, prefix: str) -> None:
    schema = options.text("db_schema", "counters")
    if schema not in SCHEMAS:
        options.doubts.add(
            options.where("db_schema"), f"db_schema = {schema}: btmon knew {', '.join(SCHEMAS)}; counters is written"
        )
        schema = "counters"
    table.set("schema", schema)
    carry(options, table, {f"{prefix}_table": "table"})
    _gathering(options, table, f"{prefix}_insert_period")


def _gathering(options: Options, table: Table, name: str) -> None:
    gathered = seconds(options, name)
    table.set("flush_interval", duration(BATCH if gathered is None else gathered))


def _rrd(options: Options) -> Table:
    table = Table("sink.rrd", plugin="rrd")
    path(options, table, "rrd_dir", "dir", "rrd")
    carry_seconds(options, table, {"rrd_step": "step", "rrd_heartbeat": "heartbeat"})
    if "heartbeat" in table.settings:
        options.doubts.add(
            options.where("rrd_heartbeat"),
            "rrd_heartbeat: btmon could make no files with it; btcore does, with this heartbeat",
        )
    _gathering(options, table, "rrd_update_period")
    return table


def _format(options: Options) -> str:
    usual = {"ecm1220": "ecm1220bin", "gem": "gem48ptbin"}
    return options.text("packet_format", usual.get(options.text("device_type", "ecm1240"), "ecm1240bin"))
