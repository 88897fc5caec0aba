"""What btmon, the program that this one follows, called things: the plugin that does each here, and what none does yet.

Which plugins are installed is `discovery.py`'s.
"""

import re
from collections.abc import Mapping

PLUGINS: Mapping[str, tuple[str, ...]] = {
    "ip": ("tcp-server", "tcp-client"),
    "mariadb": ("mysql",),
    "pvo": ("pvoutput",),
    **dict.fromkeys(("oem", "openenergymonitor", "emon"), ("emoncms",)),
    **dict.fromkeys(("pachube", "cosm", "pbe"), ("xively",)),
    **dict.fromkeys(("seg", "smart-energy-groups"), ("smartenergygroups",)),
    **dict.fromkeys(("pp", "pps", "people-power"), ("peoplepower",)),
    **dict.fromkeys(("myenersave", "es"), ("enersave",)),
    **dict.fromkeys(("ted", "ted5000", "eg"), ("eragy",)),
    "by": ("bidgely",),
    "pw": ("plotwatt",),
    "ts": ("thingspeak",),
    "wo": ("wattzon",),
    "wv": ("wattvision",),
}
"""The plugins that do what btmon's options of a name, or of a prefix, did."""

MISSING: Mapping[str, str] = {
    **dict.fromkeys(("influxdb", "influx"), "write to InfluxDB"),
    "mqtt": "publish to MQTT",
    **dict.fromkeys(("rrd", "rrdtool"), "read and write RRD files"),
}
"""What btmon could do, and no plugin of this project does yet."""

OPTION = re.compile(
    r"^\s*((ip|serial|mysql|sqlite|rrd)_read|[a-z]+_out|(ip|serial)_(mode|host|port|baud|poll_interval)|device_(type|list)"
    r"|trust_device_clock|reverse_polarity|(pvo|oem|pbe|seg|pp|es|eg|by|pw|ts|wo|wv|mqtt|influxdb|mysql|rrd)_[a-z_]+)"
    r"\s*[=:]",
    re.MULTILINE,
)
TABLE = re.compile(r"^\s*\[\s*(source|sink|decoder)\s*\.", re.MULTILINE)


def knows(name: str) -> bool:
    """Whether btmon called anything so."""
    return _plain(name) in {**PLUGINS, **MISSING}


def plugins(name: str) -> tuple[str, ...]:
    """Return the plugins that do what btmon called so; none where it called nothing so, or nothing does it yet."""
    return PLUGINS.get(_plain(name), ())


def missing(name: str) -> str:
    """Tell that btmon could do what a name stands for, and btcore cannot yet; "" for any other name."""
    what = MISSING.get(_plain(name), "")
    return (
        f"btmon could {what}; btcore has no such plugin yet. Do not install a package of such a name from elsewhere:"
        " it is not of this project"
        if what
        else ""
    )


def is_configuration(text: str) -> bool:
    """Whether a text is a configuration of btmon: several of its options, and no table of ours."""
    return len({found[1] for found in OPTION.finditer(text)}) > 1 and not TABLE.search(text)


def _plain(name: str) -> str:
    return re.sub(r"_(out|read|src)$", "", name.lower().replace(" ", "-"))
