# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted services that btmon sent to, each as a sink: which options it had, and which of them it needed."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from btmon_migrate.given import Options
from btmon_migrate.toml import NOT_COMPLETE, SecretText, Table, Toml
from btmon_migrate.values import carry, carry_seconds, duration, groups, pairs, seconds


@attrs.frozen
class Service:
    """A hosted service: the plugin, the prefix of its options, and what each of them is called here.

    `gathers` is the setting that btmon's upload period becomes: `flush_interval` where every reading is sent,
    `interval` where it is one average. `ended` says that its address leads nowhere any more. `about`
    is what stands above the table. `fill` adds what is no plain text.
    """

    plugin: str
    prefix: str
    texts: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict)
    required: Sequence[str] = ()
    gathers: str = "flush_interval"
    ended: bool = False
    about: Sequence[str] = ()
    fill: Callable[[Options, Table], None] = lambda _options, _table: None


NAMING = ("bidgely", "emoncms", "enersave", "eragy", "peoplepower", "smartenergygroups", "xively")
"""The services that are sent serial numbers: shortened, unless `full_serials` is on."""

ONE_DIRECTION = (
    "Watts and watt-hours of one direction, whatever the polarity: which, is in docs/services.md. btmon sent the net of"
    " both, which falls for a load."
)
AVERAGES = "An average of each interval. btmon sent every reading, more than the service takes."

FIELDS = 8
"""The fields of a channel of ThingSpeak."""


def service_sinks(options: Options) -> list[Table]:
    """Return the services that are switched on. What was set for the others is counted as seen, and left out."""
    tables = []
    for switch, service in SERVICES.items():
        if options.is_on(switch):
            tables.append(_sink(options, service))
        else:
            options.use(*(name for name, _ in options.unused(service.prefix + "_")))
    return tables


def _sink(options: Options, service: Service) -> Table:
    table = Table(f"sink.{service.plugin}", plugin=service.plugin, about=list(service.about))
    carry(options, table, {f"{service.prefix}_{name}": setting for name, setting in service.texts.items()})
    for name, setting in service.secrets.items():
        if text := options.text(f"{service.prefix}_{name}"):
            table.set(setting, SecretText(text))
    service.fill(options, table)
    _times(options, table, service)
    if service.plugin in NAMING and options.is_on("full_serials"):
        table.set("serials", "full")
    _complete(options, table, service)
    return table


def _times(options: Options, table: Table, service: Service) -> None:
    carry_seconds(options, table, {f"{service.prefix}_timeout": "timeout"})
    if service.plugin != "pvoutput":
        carry_seconds(options, table, {f"{service.prefix}_upload_period": service.gathers})


def _complete(options: Options, table: Table, service: Service) -> None:
    missing = [name for name in service.required if name not in table.settings]
    for name in missing:
        table.set(name, "")
    names = [f"{service.prefix}_{_option(service, name)}" for name in missing]
    where = options.where(_switch(service))
    if service.ended and "url" in missing:
        options.doubts.add(
            where,
            f"{_switch(service)}: the service has ended; to go on with one that speaks its protocol, write its url",
        )
    elif missing:
        options.doubts.add(
            where, f"{_switch(service)}: {' and '.join(names)} must be set, and btmon sent nothing; fill it in"
        )
    if missing:
        table.switch_off(NOT_COMPLETE)


def _option(service: Service, setting: str) -> str:
    return next((name for name, own in {**service.texts, **service.secrets}.items() if own == setting), setting)


def _switch(service: Service) -> str:
    return next(switch for switch, one in SERVICES.items() if one is service)


def _map(setting: str, option: str) -> Callable[[Options, Table], None]:
    def fill(options: Options, table: Table) -> None:
        if found := pairs(options, option):
            table.set(setting, dict(found))

    return fill


def _typed_map(option: str) -> Callable[[Options, Table], None]:
    def fill(options: Options, table: Table) -> None:
        found: dict[str, Toml] = {}
        for channel, (description, kind) in groups(options, option, 3).items():
            entry: dict[str, Toml] = {"description": description} if description else {}
            if kind.isdecimal():
                entry["type"] = int(kind)
            elif kind:
                options.doubts.add(
                    options.where(option), f"{option}: the type of {channel} is no number: {kind}; it is left out"
                )
            found[channel] = entry
        if found:
            table.set("map", found)

    return fill


def _segments(options: Options, table: Table) -> None:
    found = {channel.lower(): name.lower() for channel, name in pairs(options, "seg_map").items()}
    if found:
        table.set("map", {channel: name or channel.partition("_")[2] for channel, name in found.items()})


def _emoncms(options: Options, table: Table) -> None:
    if "url" not in table.settings:
        table.set("url", "https://localhost/emoncms", "btmon's default")
    if options.is_on("include_current"):
        table.set("include_current", value=True)


def _people(options: Options, table: Table) -> None:
    _map("map", "pp_map")(options, table)
    given = options.peek("pp_add_devices")
    options.use("pp_add_devices")
    if given and given.value is False:
        table.set("add_devices", value=False)


def _fields(options: Options, table: Table) -> None:
    if tokens := pairs(options, "ts_tokens"):
        table.set("tokens", {serial: SecretText(token) for serial, token in tokens.items()})
    fields: dict[str, Toml] = {}
    for channel, field in pairs(options, "ts_fields").items():
        if field.isdecimal() and 1 <= int(field) <= FIELDS:
            fields[channel] = int(field)
        else:
            options.doubts.add(
                options.where("ts_fields"),
                f"ts_fields: {channel}: ThingSpeak has the fields 1 to 8, not {field}; it is left out",
            )
    if fields:
        table.set("fields", fields)


def _pvoutput(options: Options, table: Table) -> None:
    slots = (300, 600, 900)
    wait = seconds(options, "pvo_upload_period")
    if wait is not None and wait != slots[0]:
        slot = min(slots, key=lambda one: abs(one - wait))
        table.set("interval", duration(slot))
        if slot != wait:
            options.doubts.add(
                options.where("pvo_upload_period"),
                f"pvo_upload_period = {wait:g}: PVOutput keeps a status for each 5, 10 or 15 minutes;"
                f" {duration(slot)} is written",
            )
    if "generation" not in table.settings and "consumption" not in table.settings:
        table.switch_off(NOT_COMPLETE)
        options.doubts.add(
            options.where("pvo_out"),
            "pvo_out: neither generation nor consumption has a channel, so nothing would be sent",
        )
    else:
        table.about.append(
            "Of generation the direction with the larger counter is sent, of consumption the import, whatever the"
            " polarity: the sign that btmon had to have for PVOutput to take it. btmon's energy was the net of both."
        )


SERVICES: Mapping[str, Service] = {
    "wattzon_out": Service(
        "wattzon",
        "wo",
        {"user": "user"},
        {"pass": "password", "api_key": "api_key"},
        ("url", "api_key", "user", "password", "map"),
        gathers="interval",
        ended=True,
        fill=_map("map", "wo_map"),
    ),
    "plotwatt_out": Service(
        "plotwatt", "pw", {}, {"api_key": "api_key"}, ("api_key", "map"), fill=_map("map", "pw_map")
    ),
    "enersave_out": Service(
        "enersave",
        "es",
        {"url": "url"},
        {"token": "token"},
        ("url", "token"),
        ended=True,
        about=(ONE_DIRECTION,),
        fill=_typed_map("es_map"),
    ),
    "bidgely_out": Service(
        "bidgely", "by", {}, {"url": "url"}, ("url",), about=(ONE_DIRECTION,), fill=_typed_map("by_map")
    ),
    "peoplepower_out": Service(
        "peoplepower",
        "pp",
        {"url": "url", "hub_id": "hub_id"},
        {"token": "token"},
        ("token", "map"),
        about=(ONE_DIRECTION,),
        fill=_people,
    ),
    "eragy_out": Service(
        "eragy",
        "eg",
        {"url": "url", "gateway_id": "gateway_id"},
        {"token": "token"},
        ("gateway_id", "token"),
        about=(ONE_DIRECTION,),
    ),
    "smartenergygroups_out": Service(
        "smartenergygroups", "seg", {"url": "url"}, {"token": "token"}, ("url", "token"), ended=True, fill=_segments
    ),
    "thingspeak_out": Service(
        "thingspeak", "ts", {"url": "url"}, {}, ("tokens",), gathers="interval", about=(AVERAGES,), fill=_fields
    ),
    "pachube_out": Service(
        "xively", "pbe", {"url": "url", "feed": "feed"}, {"token": "token"}, ("url", "feed", "token"), ended=True
    ),
    "oem_out": Service("emoncms", "oem", {"url": "url", "node": "node"}, {"token": "token"}, ("token",), fill=_emoncms),
    "wattvision_out": Service(
        "wattvision",
        "wv",
        {"url": "url", "api_id": "api_id", "sensor_id": "sensor_id", "channel": "channel"},
        {"api_key": "api_key"},
        ("api_id", "api_key", "sensor_id", "channel"),
        gathers="interval",
        about=(AVERAGES, ONE_DIRECTION),
    ),
    "pvo_out": Service(
        "pvoutput",
        "pvo",
        {
            "url": "url",
            "system_id": "system_id",
            "generation_channel": "generation",
            "consumption_channel": "consumption",
            "temperature_channel": "temperature",
        },
        {"api_key": "api_key"},
        ("api_key", "system_id"),
        fill=_pvoutput,
    ),
}
"""The services of btmon, by the option that switches each of them on."""
