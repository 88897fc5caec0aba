# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of docs/from-btmon.md: what becomes of each option of btmon. It is found out by migrating each of them.

PYTHONPATH=tests python -m helpers.option_table    writes it into the page
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache

from btmon_migrate.given import Doubts, Options
from btmon_migrate.options import OPTIONS
from btmon_migrate.services import SERVICES
from btmon_migrate.site import make_site
from btmon_migrate.toml import to_toml
from helpers.folders import ROOT

PAGE = ROOT / "docs" / "from-btmon.md"
BEGIN, END = "<!-- written by tests/helpers/option_table.py -->\n", "<!-- end -->\n"

SINKS = ("print_out", "mysql_out", "sqlite_out", "rrd_out", "mqtt_out", "influxdb_out", *SERVICES)
SOURCES: Mapping[str, Mapping[str, str]] = {
    "serial": {"serial_read": "true", "serial_poll_interval": "10", "trust_device_clock": "true"},
    "server": {"ip_read": "true"},
    "client": {"ip_read": "true", "ip_mode": "client", "ip_host": "meter", "ip_poll_interval": "10"},
    "mysql": {"mysql_read": "true", "mysql_src_table": "house"},
    "sqlite": {"sqlite_read": "true", "sqlite_src_table": "house"},
    "rrd": {"rrd_read": "true"},
}
"""Configurations to which an option is added; each has all sinks, too."""

INSTEAD = "source.tcp-server"
"""What is written where no source can be used."""

MAP = "399999_ch1,1,7,399999_aux1,2,8"
VALUES: Mapping[str, str] = {
    "db_schema": "ecmread",
    "device_list": "fd",
    "device_type": "gem",
    "influxdb_db_schema": "ecmread",
    "influxdb_mode": "row",
    "influxdb_tags": "site,home",
    "ip_mode": "client",
    "mqtt_qos": "1",
    "mqtt_tls": '{"ca_certs": "ca", "certfile": "cert", "keyfile": "key"}',
    "mqtt_will": '{"topic": "status"}',
    "packet_format": "gem48ptbin",
    "pp_add_devices": "false",
    "pvo_upload_period": "600",
    "ts_fields": "399999_ch1,7",
    "ts_tokens": "399999,key",
}
"""A value for each option to which 7 means nothing."""

Tables = Mapping[str, Mapping[str, str]]
"""The settings of each table, by its header."""

BY_THE_JOURNAL = "not needed: the journal keeps what is not delivered"
REMARKS: Mapping[str, str] = {
    "-h": "`--help`",
    "-v": "`--verbose` of `btcore run`",
    "--version": "`btcore --version`",
    "buffer_size": BY_THE_JOURNAL,
    "configfile": "`btcore run FILE`",
    "debug": "`--verbose` of `btcore run`; in a file btmon ignored it (H3)",
    "device_list": "where the meter is asked; blanks behind commas are understood (H4)",
    "device_type": "only for a database that is read: from a meter it is found out",
    "full_serials": '`"full"`; left out, they are shortened as by btmon',
    "influxdb_timeout": "btmon never used it (F6)",
    "ip_poll_interval": "with `ip_mode = client`; `0` asks without a wait (H1)",
    "ip_host": "with `ip_mode = server`, the address to listen on",
    "mysql_config": "`btcore check --create`",
    "mysql_persistent_connection": "not needed: the connection is kept",
    "packet_format": "only for a database or RRD file that is read: from a meter it is found out (B7)",
    "pvo_upload_period": "5, 10 or 15 minutes",
    "pw_house_id": "not needed: btmon never sent it",
    "quiet": "`--quiet` of `btcore run`; in a file btmon ignored it (H3)",
    "reverse_polarity": '`"brultech"`; without it `"btmon"`. Any text but `false` switched it on (H2)',
    "rrd_heartbeat": "btmon could make no files with it (G7)",
    "rrd_read": "btmon ended with an error (G7); here it works",
    "serial_poll_interval": "`0` asks without a wait (H1)",
    "skip_upload": "`btcore run --dry-run`, for all sinks alike (E4)",
    "sqlite_config": "`btcore check --create`",
}
"""What is to be said of an option: why it has no key, or how it differs."""


@cache
def table() -> str:
    """Return the table, a line for each option of btmon."""
    recorded = json.loads((ROOT / "tests" / "golden" / "btmon" / "options.json").read_text())["options"]
    rows = ["| option of btmon | on its command line | in `site.toml` | |", "|---|---|---|---|"]
    for name, flags in sorted((_name(one), f"`{one['long']}`") for one in recorded):
        rows.append(f"| `{name}` | {flags} | {'; '.join(keys_of(name))} | {REMARKS.get(name, '')} |")
    return "\n".join(rows) + "\n"


def page_with_table(text: str) -> str:
    """Return a page with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def keys_of(name: str) -> list[str]:
    """Return where an option goes in a site.toml: its tables and keys. Empty if nothing changes with it."""
    found: dict[str, dict[str, None]] = {}  # the keys in each table, in order
    for context in SOURCES.values() if name in OPTIONS else ():
        given = {**context, **dict.fromkeys(SINKS, "true")}
        given.pop(name, None)
        for header, key in _difference(_settings(given), _settings({**given, name: _value(name)})):
            found.setdefault(header, {})[key] = None
    return [f"{header} {', '.join(keys)}".strip() for header, keys in found.items()]


def _difference(without: Tables, changed: Tables) -> Iterator[tuple[str, str]]:
    for header, settings in changed.items():
        table, before = f"`[{header}]`" if header else "", without.get(header, {})
        if header not in without or settings.get("use") != before.get("use"):
            yield table, f"`use = {settings['use']}`" if "use" in settings else ""
        else:
            yield from ((table, f"`{key}`") for key, value in settings.items() if before.get(key) != value)


def _settings(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    options = Options(Doubts())
    for name, value in given.items():
        options.add(name, {"true": True, "false": False}.get(value, value), "here")
    site = make_site("", options)
    return {
        one.header: {key: to_toml(value) for key, value in one.settings.items()}
        for one in site.tables
        if one.header != INSTEAD
    }


def _value(name: str) -> str:
    if not OPTIONS[name].takes_value:
        return "true"
    return VALUES.get(name, MAP if name.endswith("_map") else "7")


def _name(one: Mapping[str, str]) -> str:
    return one["dest"] if one["kind"] in {"flag", "value"} else one["short"] or one["long"]


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
