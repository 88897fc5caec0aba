# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of btmon 3.0 to 3.4 and btmon3: their names, and how they are written on a command line.

What was given of them in one case is `given.py`.
"""

from collections.abc import Iterator, Mapping

import attrs


@attrs.frozen
class Option:
    """An option: its name in a configuration file, its flags on a command line, and whether a value follows them."""

    name: str
    flags: tuple[str, ...]
    takes_value: bool


_SWITCHES: Mapping[str, str] = {
    "bidgely_out": "--bidgely",
    "debug": "--debug",
    "device_clock_is_utc": "--utc-device-clock",
    "enersave_out": "--enersave",
    "eragy_out": "--eragy",
    "full_serials": "--full-serials",
    "influxdb_out": "--influxdb",
    "ip_read": "--ip",
    "mqtt_out": "--mqtt",
    "mqtt_retain": "--mqtt-retain",
    "mysql_config": "--mysql-config",
    "mysql_out": "--mysql",
    "mysql_persistent_connection": "--mysql-persistent-connection",
    "mysql_read": "--mysql-src",
    "oem_out": "--oem",
    "pachube_out": "--pachube",
    "peoplepower_out": "--peoplepower",
    "plotwatt_out": "--plotwatt",
    "print_out": "-p --print",
    "pvo_out": "--pvo",
    "quiet": "-q --quiet",
    "rrd_out": "--rrd",
    "rrd_read": "--rrd-src",
    "serial_read": "--serial",
    "skip_upload": "--skip-upload",
    "smartenergygroups_out": "--smartenergygroups",
    "sqlite_config": "--sqlite-config",
    "sqlite_out": "--sqlite",
    "sqlite_read": "--sqlite-src",
    "thingspeak_out": "--thingspeak",
    "trust_device_clock": "--trust-device-clock",
    "wattvision_out": "--wattvision",
    "wattzon_out": "--wattzon",
}

_VALUES: Mapping[str, str] = {
    "": "buffer_size db_schema device_list device_type include_current packet_format reverse_polarity",
    "by": "map timeout upload_period url",
    "eg": "gateway_id timeout token upload_period url",
    "es": "map timeout token upload_period url",
    "influxdb": "database db_schema host map measurement mode password port tags timeout upload_period username",
    "ip": "host mode poll_interval port",
    "mqtt": "base_topic clientid host map passwd port qos tls upload_period user will",
    "mysql": "database host insert_period passwd poll_interval src_database src_host src_passwd src_table src_user"
    " table user",
    "oem": "node timeout token upload_period url",
    "pbe": "feed timeout token upload_period url",
    "pp": "add_devices hub_id map timeout token upload_period url",
    "pvo": "api_key consumption_channel generation_channel system_id temperature_channel timeout upload_period url",
    "pw": "api_key house_id map timeout upload_period",
    "rrd": "dir heartbeat poll_interval src_dir src_step step update_period",
    "seg": "map timeout token upload_period url",
    "serial": "baud poll_interval port",
    "sqlite": "file insert_period poll_interval src_file src_table table",
    "ts": "fields timeout tokens upload_period url",
    "wo": "api_key map pass timeout upload_period user",
    "wv": "api_id api_key channel sensor_id timeout upload_period url",
}

CONFIGURATION = Option("configfile", ("-c", "--config-file"), takes_value=True)
"""Names the configuration file; it stands on a command line only."""

WITHOUT_NAME: Mapping[str, str] = {"-v": "quiet", "--verbose": "quiet", "-h": "", "--help": "", "--version": ""}
"""Flags that switch nothing on: the option that each switches off, or ""."""


def _all() -> Iterator[Option]:
    yield CONFIGURATION
    for name, flags in _SWITCHES.items():
        yield Option(name, tuple(flags.split()), takes_value=False)
    for prefix, names in _VALUES.items():
        for name in names.split():
            full = f"{prefix}_{name}" if prefix else name
            yield Option(full, ("--" + full.replace("_", "-"),), takes_value=True)


OPTIONS: Mapping[str, Option] = {option.name: option for option in _all()}
"""Each option by its name."""

FLAGS: Mapping[str, Option] = {flag: option for option in OPTIONS.values() for flag in option.flags}
"""Each option by what is written on a command line."""


_BY_LETTERS: Mapping[str, str] = {name.replace("_", ""): name for name in OPTIONS}
"""Each option by its name without underscores: people write serialport."""


def option_name(written: str) -> str:
    """Return a name as btmon had it: in lower case, and with its underscores."""
    name = written.strip().lower().replace("-", "_")
    return _BY_LETTERS.get(name.replace("_", ""), name)
