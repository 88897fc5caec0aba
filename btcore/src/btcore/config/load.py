"""A site.toml becomes a `Site`: what runs here, every setting converted and checked, or all mistakes told together.

How one table is read is `tables.py`; how one value, `values/convert.py`; where keys are, `toml.py`. Nothing is opened.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import platformdirs

from btcore import predecessor
from btcore.config.channel_names import read_channels
from btcore.config.claims import Claims
from btcore.config.hosting import is_hosted, remark
from btcore.config.meters import Meters, read_meters
from btcore.config.parts import split
from btcore.config.problems import Problems
from btcore.config.tables import Reader, Values, readable_settings
from btcore.config.toml import Key, read
from btcore.decode.brultech import FORMATS
from btcore.discovery import DISTRIBUTIONS, WORK, Installed, PluginError, check_kind, find, installed
from btcore.errors import ConfigurationError, Problem
from btcore.origin import origin_of
from btcore.settings import Delivery, Duration, Kind, Polarity, Serial
from btcore.text import closest, nearest
from btcore.values.channels import Known, known
from btcore.values.describe import Setting, delivery_settings, settings_of
from btcore.values.mismatch import Scope, shown

LARGEST = 1 << 20
"""Bytes; a site.toml is never as large."""


@attrs.frozen
class Source:
    """One source: a plugin's instance, and how the core takes in what it yields."""

    name: str
    table: str
    plugin: str
    instance: object = attrs.field(repr=False)
    formats: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "take only these packet formats; empty: all of them, found automatically"}
    )
    clock: Literal["arrival", "device-utc", "device-local"] = attrs.field(
        default="arrival", metadata={"help": "the time of a reading: when it came in, or the meter's own clock"}
    )
    meters: tuple[Serial, ...] = attrs.field(
        default=(),
        metadata={"help": "take in only these meters, by serial number; empty: see `max_new_meters_per_day`"},
    )
    max_new_meters_per_day: int = attrs.field(
        default=256,
        validator=attrs.validators.ge(0),
        metadata={"help": "without `meters`: the most that may be new within a day; 0: any number"},
    )
    max_packets_per_second: float = attrs.field(
        default=2.0,
        validator=attrs.validators.ge(0),
        metadata={"help": "the most packets a second of each meter, after 20,000 at once; 0: any number"},
    )
    min_backoff: Duration = attrs.field(
        default=Duration(1),
        validator=attrs.validators.gt(Duration(0)),
        metadata={"help": "first wait after a failure; it doubles"},
    )
    max_backoff: Duration = attrs.field(default=Duration(60), metadata={"help": "longest wait after a failure"})

    @property
    def origin(self) -> str:
        """Where its readings come from, as they have it."""
        return origin_of(type(self.instance))


@attrs.frozen
class Sink:
    """One sink: a plugin's instance, and how the core delivers to it.

    `whole` is the table that this is a part of, where a plugin has split it: from its cursor, one that has none begins.
    `hosted`: it is somebody's service on the Internet.
    """

    name: str
    table: str
    plugin: str
    instance: object = attrs.field(repr=False)
    delivery: Delivery
    whole: str = ""
    hosted: bool = False

    @property
    def only_live(self) -> bool:
        """Whether it gets nothing that was recorded or simulated: so it is with a hosted service, if it is not told."""
        return self.hosted if self.delivery.only_live is None else self.delivery.only_live


@attrs.frozen
class Decoder:
    """One decoder: a plugin's instance."""

    name: str
    table: str
    plugin: str
    instance: object = attrs.field(repr=False)


@attrs.frozen
class Site:
    """All that a configuration says.

    `state` is the directory of the journal. `meters` tells what meters are called, `channels` maps `SERIAL_CHANNEL` to
    a name. `secrets` are texts that no log may show; `warnings` what is no mistake, but should be otherwise.
    """

    file: Path
    state: Path = attrs.field(metadata={"help": "directory of the journal and of each sink's place in it"})
    polarity: Polarity = attrs.field(
        default="brultech",
        metadata={"help": "the sign of directional channels: consumption positive, or as btmon had it"},
    )
    retention: Duration = attrs.field(
        default=Duration(30 * 86_400),
        metadata={"help": "how long readings stay in the journal after every sink has had them, or wants none"},
    )
    max_journal_bytes: int = attrs.field(
        default=8_000_000_000,
        validator=attrs.validators.ge(0),
        metadata={"help": "how large the journal may become; then it takes no new readings; 0: as the disk allows"},
    )
    meters: Meters = attrs.field(factory=Meters)
    channels: Mapping[str, str] = attrs.field(factory=dict)
    sources: tuple[Source, ...] = ()
    sinks: tuple[Sink, ...] = ()
    decoders: tuple[Decoder, ...] = ()
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    warnings: tuple[Problem, ...] = ()


def site_settings() -> tuple[Setting, ...]:
    """Return the settings of the top level."""
    return tuple(
        attrs.evolve(entry, default=default_state()) if entry.name == "state" else entry for entry in settings_of(Site)
    )


def core_settings(kind: Kind, cls: type, formats: tuple[str, ...] = tuple(FORMATS)) -> tuple[Setting, ...]:
    """Return the settings that the core adds to every table of a kind, with the plugin's own defaults.

    `formats` are the names that a source's `formats` may have.
    """
    if kind == "sink":
        return delivery_settings(getattr(cls, "delivery", Delivery()))
    choices = {"formats": formats}
    return tuple(_chosen(entry, choices) for entry in settings_of(Source)) if kind == "source" else ()


def _chosen(entry: Setting, choices: Mapping[str, tuple[str, ...]]) -> Setting:
    return attrs.evolve(entry, choices=choices.get(entry.name, entry.choices))


def default_state() -> Path:
    """Return where the state is kept when a configuration says nothing: the service manager's choice, or the user's."""
    # a service manager may give several, separated by colons: the first is the service's own
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given or platformdirs.user_state_dir("btcore"))


def load_site(path: Path) -> Site:
    """Read a configuration and make every plugin's instance. Raises ConfigurationError with all mistakes in it."""
    text = _text(path)
    if predecessor.is_configuration(text):
        raise _unreadable(path, BTMON)
    document = read(text)
    findings = Problems(str(path), document)
    for mistake in document.mistakes:
        findings.problems.append(Problem(mistake.message, line=mistake.line, file=str(path)))
    site = _Loader(path, document.data, findings).load()
    findings.raise_all()
    return site


BTMON = (
    "this is a configuration of btmon, which btcore cannot read or import yet: btcore init writes a site.toml, and "
    "btcore plugins tells what each plugin does"
)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file; btcore init writes one") from None
    except OSError as error:
        raise _unreadable(path, f"the file cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise _unreadable(path, f"the file is larger than {LARGEST} bytes; this is no configuration")
    return _decoded(path, raw)


def _decoded(path: Path, raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in raw[:2]:
        raise _unreadable(path, 'the file is in UTF-16, which Windows calls "Unicode"; save it as UTF-8')
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _unreadable(path, "this is not text in UTF-8; save the file as UTF-8", line) from None


def _unreadable(path: Path, message: str, line: int | None = None) -> ConfigurationError:
    return ConfigurationError([Problem(message, line=line, file=str(path))])


class _Loader:
    """Reads one file's data. Every mistake goes to the findings; what comes out may have gaps then."""

    def __init__(self, path: Path, data: Mapping[str, Any], findings: Problems) -> None:
        """Start with what the decoders know, and the channels: every table may use their names."""
        self.path = path
        self.data = data
        self.findings = findings
        self.plugins = installed()
        self.claims = Claims(findings)
        self._loaded: dict[str, tuple[Installed, type] | PluginError] = {}
        self.decoders = self._decoder_tables()
        self.known = self._known()
        scope = Scope(path.absolute().parent, {}, self.known.labels, self.known.complete, findings.secrets)
        sources = data.get("source")
        self.meters = read_meters(data, findings, scope, sources if isinstance(sources, dict) else ())
        names = self.meters.names
        self.channels = read_channels(data, findings, self.known, names)
        scope = attrs.evolve(scope, channels=self.channels, meters=names)
        self.reader = Reader(findings, scope)
        self.top = site_settings()

    def load(self) -> Site:
        """Read the whole file."""
        self._unknown()
        values = {"state": default_state(), **self.reader.settings(self.top, self.data, ())}
        sources = [Source(**common, **core) for common, core, _ in self._tables("source")]
        sinks = [Sink(**common, delivery=_delivery(cls, core)) for common, core, cls in self._tables("sink")]
        decoders = [Decoder(**common) for common, _, _ in self._tables("decoder")]
        self._namesakes(sinks)
        self.claims.tell()
        self._remark_origins(sources, sinks)
        return Site(
            file=self.path,
            meters=self.meters,
            channels=self.channels,
            sources=tuple(sources),
            sinks=tuple(sinks),
            decoders=tuple(decoders),
            secrets=tuple(dict.fromkeys(self.findings.secrets)),
            warnings=tuple(self.findings.warnings),
            **values,
        )

    def _decoder_tables(self) -> object:
        """Return the tables of decoders: that of Brultech's meters is there in any case."""
        tables = self.data.get("decoder", {})
        if not isinstance(tables, dict) or any(_use(name, table) == BRULTECH for name, table in tables.items()):
            return tables
        if BRULTECH in tables:
            message = "this is the name of the decoder of Brultech's meters, which is always there; choose another"
            self.findings.add(("decoder", BRULTECH), message)
        return {BRULTECH: {}, **tables}

    def _known(self) -> Known:
        """Gather what the decoders and sources say of their formats, before anything is made of their tables."""
        decoders, broken = self._classes(self.decoders)
        sources, _ = self._classes(self.data.get("source"))
        return known(decoders, sources, complete=not broken)

    def _classes(self, tables: object) -> tuple[list[type], bool]:
        """Return the plugin classes of tables, and whether any cannot be had; that is told when its table is read."""
        uses = [_use(name, table) for name, table in tables.items()] if isinstance(tables, dict) else []
        classes: list[type] = []
        for use in uses:
            try:
                classes.append(self._load(str(use))[1])
            except PluginError:
                continue
        return classes, len(classes) < len(uses)

    def _load(self, use: str) -> tuple[Installed, type]:
        """Load a plugin, once. Raises PluginError."""
        if use not in self._loaded:
            try:
                plugin = find(use, self.plugins)
                self._loaded[use] = (plugin, plugin.load())
            except PluginError as error:
                self._loaded[use] = error
        found = self._loaded[use]
        if isinstance(found, PluginError):
            raise found
        return found

    def _unknown(self) -> None:
        tables = (*WORK, "channels", "meters")
        known = (*tables, *(entry.name for entry in self.top))
        for name, value in self.data.items():
            if name not in known and isinstance(value, dict):
                self._unknown_table(name, value, closest(name, tables))
            elif name not in known:
                self.findings.add((name,), f"unknown setting{nearest(name, known) or _listed(known)}")

    def _unknown_table(self, name: str, value: Mapping[str, object], near: str) -> None:
        below = [f".{key}" for key, inner in value.items() if isinstance(inner, dict)] or [""]
        for rest in below:
            hint = f"; did you mean [{near}{rest}]?" if near else f"; there are {_TABLES}"
            self.findings.add((name, rest[1:]) if rest else (name,), f"unknown table{hint}")

    def _tables(self, kind: Kind) -> list[tuple[Values, Values, type]]:
        tables = self.decoders if kind == "decoder" else self.data.get(kind, {})
        if not isinstance(tables, dict):
            self.findings.add((kind,), f"expected a table [{kind}.NAME], found something else")
            return []
        if not tables and kind in _NOTHING and not self.findings.document.mistakes:
            self.findings.add((), _NOTHING[kind])
        return [one for name, table in tables.items() for one in self._table(kind, name, table)]

    def _namesakes(self, sinks: Sequence[Sink]) -> None:
        """Note a sink that has the name of another one's part: they would share a cursor."""
        wholes = {sink.table: sink.whole for sink in sinks if sink.whole}
        for sink in sinks:
            if not sink.whole and sink.table in wholes:
                message = f"this is the name of a part of [{wholes[sink.table]}]; choose another"
                self.findings.add(("sink", sink.name), message)

    def _remark_origins(self, sources: Sequence[Source], sinks: Sequence[Sink]) -> None:
        """Remark what is simulated or recorded beside a hosted service: people take that for the truth."""
        origins = {source.table: source.origin for source in sources}
        only_live = {sink.whole or sink.table: sink.only_live for sink in sinks if sink.hosted}
        if text := remark(origins, only_live):
            self.findings.warn((), text)

    def _table(self, kind: Kind, name: str, table: object) -> list[tuple[Values, Values, type]]:
        path: Key = (kind, name)
        if not isinstance(table, dict):
            wanted = (
                f"[{kind}.{name}], in single brackets"
                if isinstance(table, list)
                else f"[{kind}.NAME], with this setting in it"
            )
            self.findings.add(path, f"expected a table {wanted}")
            return []
        if not name.strip() or not name.isprintable():
            self.findings.add(path, "expected a name that can be printed")
            return []
        loaded = self._plugin(kind, name, table)
        return self._made(kind, name, table, *loaded) if loaded else []

    def _made(
        self, kind: Kind, name: str, table: Mapping[str, object], plugin: Installed, cls: type
    ) -> list[tuple[Values, Values, type]]:
        path: Key = (kind, name)
        core = core_settings(kind, cls, self.known.formats if self.known.complete else ())
        reserved = ("use", *(entry.name for entry in core))
        own, wrong = readable_settings(plugin, cls, reserved)
        if wrong:
            self.findings.add_foreign(path, wrong)
            return []
        top = [entry.name for entry in self.top]
        self.reader.unknown(table, [*(entry.name for entry in own), *reserved], path, top)
        before = len(self.findings.problems)
        values = self.reader.settings(core, table, path)
        known = {"delivery": _delivery(cls, values)} if kind == "sink" else {}
        meters = known["delivery"].meters if known else ()
        instance = self.reader.instance(plugin, cls, own, table, path, **known)
        self.claims.add(plugin, instance, path, meters)
        common = {"name": name, "table": f"{kind}.{name}", "plugin": plugin.name, "instance": instance}
        if kind != "sink" or len(self.findings.problems) > before:
            return [(common, values, cls)]
        return [(part, values, cls) for part in self._parts(plugin, common, path)]

    def _parts(self, plugin: Installed, whole: Values, path: Key) -> list[Values]:
        """Return what a sink becomes: itself, or each of its parts."""
        try:
            parts = {
                part: {**whole, "instance": instance, "hosted": is_hosted(plugin, instance)}
                for part, instance in split(plugin, whole["instance"]).items()
            }
        except PluginError as error:
            self.findings.add_foreign(path, str(error))
            return []
        name, table = whole["name"], whole["table"]
        return [
            {**one, "name": f"{name}/{part}", "table": f"{table}/{part}", "whole": table} if part else one
            for part, one in parts.items()
        ]

    def _plugin(self, kind: Kind, name: str, table: Mapping[str, object]) -> tuple[Installed, type] | None:
        use = table.get("use", name)
        path: Key = (kind, name, "use") if "use" in table else (kind, name)
        if not isinstance(use, str):
            self.findings.add(path, f"expected the name of a plugin, as text, found {shown(use)}")
            return None
        try:
            plugin, cls = self._load(use)
            check_kind(plugin, cls, kind)
        except PluginError as error:
            known = use in self.plugins or use in DISTRIBUTIONS or predecessor.knows(use)
            own_name = not known and "use" not in table
            hint = f"; if {shown(name)} is your own name for it, say which plugin it is: use = ..." if own_name else ""
            self.findings.add_foreign(path, f"{error}{hint}")
            return None
        return plugin, cls


_TABLES = "[source.NAME], [sink.NAME], [decoder.NAME], [channels], [meters]"

BRULTECH = "brultech"
"""The decoder that is there in any case."""

_NOTHING: Mapping[Kind, str] = {
    "source": "there is no source, so nothing would be read; add a table [source.NAME], such as [source.tcp-server]",
    "sink": "there is no sink, so nothing would be delivered; add a table [sink.NAME], such as [sink.print]",
}


def _use(name: str, table: object) -> object:
    """Return the name of the plugin that a table wants."""
    return table.get("use", name) if isinstance(table, dict) else None


def _delivery(cls: type, given: Values) -> Delivery:
    default: Delivery = getattr(cls, "delivery", Delivery())
    return attrs.evolve(default, **given)


def _listed(known: Sequence[str]) -> str:
    return f"; it may be {', '.join(known)}"
