# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of btmon, the program that this one follows, and the plugins that replace what they stand for.

Which plugins are installed belongs to `discovery.py`.
"""

import re
from collections.abc import Mapping

PLUGINS: Mapping[str, tuple[str, ...]] = {
    "ip": ("tcp-server", "tcp-client"),
    "mariadb": ("mysql",),
    **dict.fromkeys(("postgres", "postgresql"), ("sql",)),
    "pvo": ("pvoutput",),
    **dict.fromkeys(("oem", "openenergymonitor", "emon"), ("emoncms",)),
    **dict.fromkeys(("pachube", "cosm", "pbe"), ("xively",)),
    **dict.fromkeys(("seg", "smart-energy-groups"), ("smartenergygroups",)),
    **dict.fromkeys(("pp", "pps", "people-power"), ("peoplepower",)),
    **dict.fromkeys(("myenersave", "es"), ("enersave",)),
    **dict.fromkeys(("ted", "ted5000", "eg"), ("eragy",)),
    **dict.fromkeys(("rrd", "rrdtool"), ("rrd",)),
    **dict.fromkeys(("influxdb", "influx"), ("influxdb",)),
    "by": ("bidgely",),
    "mqtt": ("mqtt",),
    "pw": ("plotwatt",),
    "ts": ("thingspeak",),
    "wo": ("wattzon",),
    "wv": ("wattvision",),
}
"""The plugins that replace the options of btmon with a name or a prefix."""

OPTION = re.compile(
    r"^\s*((ip|serial|mysql|sqlite|rrd)_read|[a-z]+_out|(ip|serial)_(mode|host|port|baud|poll_interval)|device_(type|list)"
    r"|trust_device_clock|reverse_polarity|(pvo|oem|pbe|seg|pp|es|eg|by|pw|ts|wo|wv|mqtt|influxdb|mysql|rrd)_[a-z_]+)"
    r"\s*[=:]",
    re.MULTILINE,
)
TABLE = re.compile(r"^\s*\[\s*(source|sink|decoder)\s*\.", re.MULTILINE)


def knows(name: str) -> bool:
    """Whether btmon used this name."""
    return _plain(name) in PLUGINS


def plugins(name: str) -> tuple[str, ...]:
    """Return the plugins that replace a name of btmon; empty if there is no such name."""
    return PLUGINS.get(_plain(name), ())


def is_configuration(text: str) -> bool:
    """Whether a text is a configuration of btmon: it has several of btmon's options, and no table of btcore."""
    return len({found[1] for found in OPTION.finditer(text)}) > 1 and not TABLE.search(text)


def _plain(name: str) -> str:
    return re.sub(r"_(out|read|src)$", "", name.lower().replace(" ", "-"))
