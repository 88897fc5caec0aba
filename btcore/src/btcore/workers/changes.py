# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two configurations of a site, and what has to be restarted for that. Pure.

A source and a sink depend on their own tables, on [meters] and on the decoders; a sink also on [channels], on [tariff]
and on the polarity of the site. How workers are restarted is in `group.py`.
"""

from collections.abc import Iterator, Mapping, Sequence

from btcore.classes import field, frozen, values_of
from btcore.config.site import Decoder, Sink, Site, Source, site_settings
from btcore.values.describe import settings_of

ON_RESTART = ("state", "journal", "sync", "max_journal_bytes")
"""Settings of the site that take effect when the program is started again: the journal is opened with them."""

Part = Source | Sink | Decoder


@frozen
class PartChanges:
    """What changes among the sources, or among the sinks: names of tables; for each that is restarted, why."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: Mapping[str, str] = field(factory=dict)

    @property
    def ending(self) -> frozenset[str]:
        """The tables whose workers have to end."""
        return frozenset((*self.removed, *self.restarted))

    @property
    def starting(self) -> frozenset[str]:
        """The tables that get a new worker."""
        return frozenset((*self.added, *self.restarted))

    def lines(self) -> Iterator[str]:
        """Yield a line for each change."""
        yield from (f"{table}: added" for table in self.added)
        yield from (f"{table}: removed" for table in self.removed)
        yield from (f"{table}: restarted ({why})" for table, why in self.restarted.items())


@frozen
class SiteChanges:
    """What changes with a new configuration. `settings` are those of the site that take effect at once.

    `on_restart` are settings that do not. `is_naming_changed`: the meters of packets may be named otherwise now.
    """

    sources: PartChanges
    sinks: PartChanges
    settings: tuple[str, ...] = ()
    on_restart: tuple[str, ...] = ()
    is_naming_changed: bool = False

    def lines(self) -> Iterator[str]:
        """Yield a line for each change."""
        yield from self.sources.lines()
        yield from self.sinks.lines()
        yield from (f"{name}: changed" for name in self.settings)


def site_changes(old: Site, new: Site, stopped: Sequence[str] = ()) -> SiteChanges:
    """Compare two configurations. `stopped` are the tables of workers that wait for a restart: they get one."""
    shared = [*(["[meters]"] if list(old.meters) != list(new.meters) else []), *_decoder_changes(old, new)]
    described = [(dict(site.channels), dict(site.channel_descriptions)) for site in (old, new)]
    names = [*shared, *(["[channels]"] if described[0] != described[1] else [])]
    names += ["[tariff]"] if old.tariff != new.tariff else []
    names += ["polarity"] if old.polarity != new.polarity else []
    settings = [entry.name for entry in site_settings() if getattr(old, entry.name) != getattr(new, entry.name)]
    settings += ["sync"] if old.sync != new.sync else []
    settings += ["metrics"] if old.metrics != new.metrics else []
    return SiteChanges(
        _part_changes(old.running_sources, new.running_sources, shared, stopped),
        _part_changes(old.sinks, new.sinks, names, stopped),
        tuple(name for name in settings if name not in ON_RESTART),
        tuple(name for name in settings if name in ON_RESTART),
        is_naming_changed=bool(shared),
    )


def _decoder_changes(old: Site, new: Site) -> list[str]:
    before, after = ({one.table: one for one in site.decoders} for site in (old, new))
    changed = [table for table in before if table in after and _differences(before[table], after[table])]
    order = [] if [*before] == [*after] or {*before} ^ {*after} else ["the order of the decoders"]
    return [f"[{table}]" for table in (*changed, *({*before} ^ {*after}))] + order


def _part_changes(
    old: Sequence[Part], new: Sequence[Part], shared: Sequence[str], stopped: Sequence[str]
) -> PartChanges:
    before, after = ({one.table: one for one in parts} for parts in (old, new))
    both = [table for table in after if table in before]
    reasons = {table: [*_differences(before[table], after[table]), *shared] for table in both}
    reasons |= {table: ["it had stopped"] for table in both if not reasons[table] and table in stopped}
    return PartChanges(
        added=tuple(table for table in after if table not in before),
        removed=tuple(table for table in before if table not in after),
        restarted={table: ", ".join(why) for table, why in reasons.items() if why},
    )


def _differences(old: Part, new: Part) -> list[str]:
    """Return the names of the settings that differ."""
    if type(old.instance) is not type(new.instance):
        return ["use"]
    names = dict.fromkeys([*old.settings, *new.settings])
    own = [name for name in names if old.settings.get(name) != new.settings.get(name)]
    core = [(_core_values(one), one) for one in (old, new)]
    return own + [name for name, value in core[0][0].items() if core[1][0][name] != value]


def _core_values(part: Part) -> dict[str, object]:
    """Return the settings of a table that are the core's."""
    if isinstance(part, Source):
        return {entry.name: getattr(part, entry.name) for entry in settings_of(Source)}
    if isinstance(part, Sink):
        delivery = values_of(part.delivery)
        return {**delivery, "split_from": part.split_from, "hosted": part.hosted}
    return {}
