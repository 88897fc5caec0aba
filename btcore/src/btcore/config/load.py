# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads a site.toml: the result is a `Site` with every setting converted and checked, or all mistakes at once.

Reading one table belongs to `tables.py`, one value to `values/convert.py`, the lines of keys to `toml.py`. Nothing is
opened.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from btcore import predecessor
from btcore.classes import evolve
from btcore.config.channel_names import read_channels
from btcore.config.claims import Claims
from btcore.config.hosting import is_hosted, origin_notice
from btcore.config.meters import add_sources, read_meters
from btcore.config.metrics import read_metrics
from btcore.config.parts import split
from btcore.config.problems import SINGLE_TABLES, Problems
from btcore.config.site import Decoder, JournalSettings, Sink, Site, Source, core_settings, default_state, site_settings
from btcore.config.site_file import read_site_file
from btcore.config.tables import BRULTECH, Reader, Values, decoder_tables, readable_settings, used_plugin
from btcore.config.toml import Key, read
from btcore.discovery import DISTRIBUTIONS, KIND_HOOKS, Installed, PluginError, check_kind, find, installed
from btcore.errors import Problem
from btcore.journal.opening import is_filled_by_others, secrets_in
from btcore.renamed_settings import renamed
from btcore.settings import Delivery, Kind
from btcore.text import closest, nearest
from btcore.values.channels import KnownChannels, is_virtual, known_channels
from btcore.values.describe import settings_of
from btcore.values.durations import duration_text
from btcore.values.invalid_value import ConversionContext, format_value

if TYPE_CHECKING:
    from btcore.tariff import Tariff
    from btcore.virtual.counting import VirtualChannel


def load_site(path: Path, *, complete: bool = True) -> Site:
    """Read a configuration and create every plugin's instance. Raises ConfigurationError with all mistakes.

    A configuration that is not to be `complete` may lack sources or sinks.
    """
    document = read(read_site_file(path))
    findings = Problems(str(path), document)
    for mistake in document.mistakes:
        findings.problems.append(Problem(mistake.message, line=mistake.line, file=str(path)))
    site = _Loader(path, document.data, findings, complete=complete).load()
    findings.raise_all()
    return site


def load_state(path: Path) -> Path:
    """Return the state directory of a configuration, whatever else is wrong in it. Raises ConfigurationError."""
    document = read(read_site_file(path))
    findings = Problems(str(path), document)
    reader = Reader(findings, ConversionContext(path.absolute().parent, secrets=findings.secrets))
    wanted = [entry for entry in site_settings() if entry.name == "state"]
    values = {"state": default_state(), **reader.settings(wanted, document.data, ())}
    findings.raise_all()
    state: Path = values["state"]
    return state


class _Loader:
    """Reads the data of one file. Every mistake is added to the findings; the result may be incomplete then."""

    def __init__(self, path: Path, data: Mapping[str, Any], findings: Problems, *, complete: bool) -> None:
        """Read the decoders' labels, the meters and the channels first: every table can name them."""
        self.path = path
        self.complete = complete
        self.data = data
        self.findings = findings
        self.plugins = installed()
        self.claims = Claims(findings)
        self._loaded: dict[str, tuple[Installed, type] | PluginError] = {}
        self.decoders = self._decoder_tables()
        self.known = self._known()
        context = ConversionContext(
            path.absolute().parent, {}, self.known.labels, self.known.complete, findings.secrets
        )
        sources = data.get("source")
        self.meters = read_meters(data, findings, context, sources if isinstance(sources, dict) else ())
        names = self.meters.names
        context = evolve(context, meters=names)
        self.descriptions = read_channels(data, findings, self.known, context)
        context = evolve(context, channels={key: one.name for key, one in self.descriptions.items()})
        self.virtual = self._virtual_channels(data.get("channels"), context)
        self.channels = {key: one.name for key, one in self.descriptions.items()}
        context = evolve(context, channels=self.channels)
        self.reader = Reader(findings, context)
        self.top = settings_of(Site) if "state" in data else site_settings()  # its default is looked for only if used

    def _virtual_channels(self, table: object, context: ConversionContext) -> "tuple[VirtualChannel, ...]":
        """Return the virtual channels; what [channels] says of them is added to the descriptions."""
        if not isinstance(table, dict) or not any(map(is_virtual, table.values())):
            return ()
        from btcore.values.virtual_channels import read_virtual_channels  # noqa: PLC0415 - most sites have none

        found = read_virtual_channels(table, self.known, context)
        for problem in found.problems:
            self.findings.add(("channels", *problem.path), problem.message)
        self.descriptions |= found.descriptions
        return tuple(found.channels)

    def load(self) -> Site:
        """Read the whole file."""
        self._unknown_keys()
        journal = self.data.get("journal", "")
        self.findings.secrets += secrets_in(str(journal.get("use", "") if isinstance(journal, dict) else journal))
        values = self._top_values()
        if "state" not in values:
            values["state"] = default_state()
        self.state: Path = values["state"]
        sources = [Source(**common, **core) for common, core, _ in self._tables("source")]
        sinks = [Sink(**common, delivery=_delivery(cls, core)) for common, core, cls in self._tables("sink")]
        decoders = [Decoder(**common) for common, _, _ in self._tables("decoder")]
        metrics = read_metrics(self.data, self.findings, self.reader, self.claims)
        tariff = self._tariff()
        self._name_clashes(sinks)
        if self.virtual and self._is_filled_by_others():
            message = "virtual channels need a journal of one computer; calculate them where the meters are"
            self.findings.add(("channels",), message)
        self.claims.report()
        self._warn_of_origins(sources, sinks)
        self._warn_of_backoffs(sources, sinks)
        return Site(
            file=self.path,
            meters=add_sources(self.meters, {source.name: source.serial for source in sources}, self.findings),
            channels=self.channels,
            channel_descriptions=self.descriptions,
            virtual_channels=self.virtual,
            metrics=metrics,
            tariff=tariff,
            sources=tuple(sources),
            sinks=tuple(sinks),
            decoders=tuple(decoders),
            secrets=tuple(dict.fromkeys(self.findings.secrets)),
            warnings=tuple(self.findings.warnings),
            **values,
        )

    def _tariff(self) -> "Tariff | None":
        if "tariff" not in self.data:
            return None
        from btcore.tariff import Tariff  # noqa: PLC0415 - most sites have none
        from btcore.tariff_text import doubts  # noqa: PLC0415 - as above

        tariff = self.reader.nested("tariff", Tariff, self.data)
        for key, doubt in doubts(tariff) if tariff else ():
            self.findings.warn(("tariff", key), doubt)
        return tariff

    def _top_values(self) -> Values:
        """Return the settings of the top level; the journal's may be in a table of their own."""
        table = self.data.get("journal")
        if not isinstance(table, dict):
            return self.reader.settings(self.top, self.data, ())
        known = settings_of(JournalSettings)
        self.reader.unknown(table, [entry.name for entry in known], ("journal",), ())
        journal = JournalSettings(**self.reader.settings(known, table, ("journal",)))
        others = [entry for entry in self.top if entry.name != "journal"]
        return {"journal": journal.use, "sync": journal.sync, **self.reader.settings(others, self.data, ())}

    def _decoder_tables(self) -> object:
        """Return the tables of decoders, with those that need none in the file."""
        tables = self.data.get("decoder", {})
        if not isinstance(tables, dict):
            return tables
        if BRULTECH in tables and BRULTECH not in {used_plugin(name, table) for name, table in tables.items()}:
            message = "this name belongs to the built-in decoder of Brultech's meters; choose another name"
            self.findings.add(("decoder", BRULTECH), message)
        return decoder_tables(tables, self._classes(self.data.get("source"))[0])

    def _known(self) -> KnownChannels:
        """Return the formats and labels that decoders and sources declare, before their tables are read."""
        decoders, broken = self._classes(self.decoders)
        sources, _ = self._classes(self.data.get("source"))
        return known_channels(decoders, sources, complete=not broken)

    def _classes(self, tables: object) -> tuple[list[type], bool]:
        """Return the plugin classes of tables, and whether one cannot be loaded, which is reported with its table."""
        uses = [used_plugin(name, table) for name, table in tables.items()] if isinstance(tables, dict) else []
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

    def _unknown_keys(self) -> None:
        tables = (*KIND_HOOKS, *SINGLE_TABLES)
        known = tuple(dict.fromkeys((*tables, *(entry.name for entry in self.top))))
        for name, value in self.data.items():
            if name not in known and isinstance(value, dict):
                self._unknown_table(name, value, closest(name, tables))
            elif name not in known:
                hint = renamed(name, self.data, known) or nearest(name, known) or _list_known(known)
                self.findings.add((name,), f"unknown setting{hint}")

    def _unknown_table(self, name: str, value: Mapping[str, object], near: str) -> None:
        below = [f".{key}" for key, inner in value.items() if isinstance(inner, dict)] or [""]
        for rest in below:
            hint = f"; did you mean [{near}{rest}]?" if near else f"; expected one of {_TABLES}"
            self.findings.add((name, rest[1:]) if rest else (name,), f"unknown table{hint}")

    def _tables(self, kind: Kind) -> list[tuple[Values, Values, type]]:
        tables = self.decoders if kind == "decoder" else self.data.get(kind, {})
        if not isinstance(tables, dict):
            self.findings.add((kind,), f"expected a table [{kind}.NAME], found something else")
            return []
        is_needed = self.complete and kind in _NOTHING and not (kind == "source" and self._is_filled_by_others())
        if not tables and is_needed and not self.findings.document.mistakes:
            self.findings.add((), _NOTHING[kind])
        return [one for name, table in tables.items() for one in self._table(kind, name, table)]

    def _is_filled_by_others(self) -> bool:
        """Whether the journal that is chosen has readings without any source here."""
        journal = self.data.get("journal", "")
        url = journal.get("use", "") if isinstance(journal, dict) else journal
        return isinstance(url, str) and is_filled_by_others(url)

    def _name_clashes(self, sinks: Sequence[Sink]) -> None:
        """Report a sink with the name of another sink's part: the two would share a checkpoint."""
        split_tables = {sink.table: sink.split_from for sink in sinks if sink.split_from}
        for sink in sinks:
            if not sink.split_from and sink.table in split_tables:
                message = f"this is also the name of a part of [{split_tables[sink.table]}]; choose another name"
                self.findings.add(("sink", sink.name), message)

    def _warn_of_origins(self, sources: Sequence[Source], sinks: Sequence[Sink]) -> None:
        """Warn of simulated or recorded readings next to a hosted service, where people take them for real."""
        origins = {source.table: source.origin for source in sources}
        only_live = {sink.split_from or sink.table: sink.only_live for sink in sinks if sink.hosted}
        if text := origin_notice(origins, only_live):
            self.findings.warn((), text)

    def _warn_of_backoffs(self, sources: Sequence[Source], sinks: Sequence[Sink]) -> None:
        """Warn of a longest wait that is shorter than the first one, which it does not bound."""
        backoffs: dict[str, Source | Delivery] = {source.table: source for source in sources}
        backoffs |= {sink.split_from or sink.table: sink.delivery for sink in sinks}
        for table, one in backoffs.items():
            if one.max_backoff < one.min_backoff:
                first, longest = duration_text(one.min_backoff), duration_text(one.max_backoff)
                message = f"min_backoff ({first}) is longer than max_backoff ({longest}), so every wait is {first}"
                self.findings.warn((*table.split(".", 1), "min_backoff"), message)

    def _table(self, kind: Kind, name: str, table: object) -> list[tuple[Values, Values, type]]:
        path: Key = (kind, name)
        if not isinstance(table, dict):
            wanted = (
                f"[{kind}.{name}], in single brackets"
                if isinstance(table, list)
                else f"[{kind}.NAME], and the setting in it"
            )
            self.findings.add(path, f"expected a table {wanted}")
            return []
        if not name.strip() or not name.isprintable():
            self.findings.add(path, "expected a name of printable characters")
            return []
        loaded = self._plugin(kind, name, table)
        return self._instances(kind, name, table, *loaded) if loaded else []

    def _instances(
        self, kind: Kind, name: str, table: Mapping[str, object], plugin: Installed, cls: type
    ) -> list[tuple[Values, Values, type]]:
        path: Key = (kind, name)
        core = core_settings(kind, cls, self.known.formats if self.known.complete else ())
        reserved = ("use", *(entry.name for entry in core))
        own, wrong = readable_settings(plugin, cls, reserved)
        if wrong:
            self.findings.add_redacted(path, wrong)
            return []
        top = [entry.name for entry in self.top]
        self.reader.unknown(table, [*(entry.name for entry in own), *reserved], path, top)
        before = len(self.findings.problems)
        values = self.reader.settings(core, table, path)
        delivery = _delivery(cls, values) if kind == "sink" else None
        meters = delivery.meters if delivery else ()
        known = {"state": self.state} | ({"delivery": delivery} if delivery else {})
        instance = self.reader.instance(plugin, cls, own, table, path, **known)
        self.claims.add(plugin, instance, path, meters)
        common = {"name": name, "table": f"{kind}.{name}", "plugin": plugin.name, "instance": instance}
        if kind != "sink" or len(self.findings.problems) > before:
            return [(common, values, cls)]
        return [(part, values, cls) for part in self._parts(plugin, common, path)]

    def _parts(self, plugin: Installed, split_from: Values, path: Key) -> list[Values]:
        """Return the sinks of a table: one, or each of its parts."""
        try:
            parts = {
                part: {**split_from, "instance": instance, "hosted": is_hosted(plugin, instance)}
                for part, instance in split(plugin, split_from["instance"]).items()
            }
        except PluginError as error:
            self.findings.add_redacted(path, str(error))
            return []
        name, table = split_from["name"], split_from["table"]
        return [
            {**one, "name": f"{name}/{part}", "table": f"{table}/{part}", "split_from": table} if part else one
            for part, one in parts.items()
        ]

    def _plugin(self, kind: Kind, name: str, table: Mapping[str, object]) -> tuple[Installed, type] | None:
        use = table.get("use", name)
        path: Key = (kind, name, "use") if "use" in table else (kind, name)
        if not isinstance(use, str):
            self.findings.add(path, f"expected the name of a plugin, as text, found {format_value(use)}")
            return None
        try:
            plugin, cls = self._load(use)
            check_kind(plugin, cls, kind)
        except PluginError as error:
            known = use in self.plugins or use in DISTRIBUTIONS or predecessor.knows(use)
            own_name = not known and "use" not in table
            hint = f"; if {format_value(name)} is a name of your own, set the plugin: use = ..." if own_name else ""
            self.findings.add_redacted(path, f"{error}{hint}{_dotted(kind, name, table) if own_name else ''}")
            return None
        return plugin, cls


_TABLES = "[source.NAME], [sink.NAME], [decoder.NAME], [channels], [meters], [metrics], [journal], [tariff]"

_NOTHING: Mapping[Kind, str] = {
    "source": "there is no source, so nothing is received; add a table [source.NAME], such as [source.tcp-server]",
    "sink": "there is no sink, so nothing is delivered; add a table [sink.NAME], such as [sink.print]",
}


def _dotted(kind: Kind, name: str, table: Mapping[str, object]) -> str:
    """Return how the name of a table is written that was read as a table in a table, [sink.my.roof], or ""."""
    inner = [key for key, value in table.items() if isinstance(value, dict)]
    return f'; a name with a dot is in quotes: [{kind}."{name}.{inner[0]}"]' if len(inner) == len(table) == 1 else ""


def _delivery(cls: type, given: Values) -> Delivery:
    default: Delivery = getattr(cls, "delivery", Delivery())
    return evolve(default, **given)


def _list_known(known: Sequence[str]) -> str:
    return f"; expected one of {', '.join(known)}"
