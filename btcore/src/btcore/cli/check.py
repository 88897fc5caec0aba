# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore check`: reads a configuration as `run` does, and shows what would run. Nothing is opened or sent.

With `--create`, sinks create the databases, tables and files that they store into.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path

import attrs

from btcore.classes import evolve
from btcore.cli import OK, add_config, config_of, write_lines
from btcore.cli.storage import create_all
from btcore.config.load import load_site
from btcore.config.meters import Meter
from btcore.config.site import Sink, Site, Source, site_settings
from btcore.errors import ConfigurationError, Problem
from btcore.journal.opening import describe_url
from btcore.logs.handler import say
from btcore.runtime import state_directory
from btcore.runtime.supervisor import check_site_journal
from btcore.settings import Delivery
from btcore.tariff_text import describe_tariff, tariff_record
from btcore.text import describe_error
from btcore.values.describe import Setting, setting_values, settings_of, toml_text
from btcore.virtual.counting import VirtualChannel

Record = dict[str, object]

UNITS = ("W", "Wh")
"""What a virtual channel is in: each of its parts has power and energy."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    parser.add_argument("--create", action="store_true", help="create the databases, tables and files that are missing")


def main(args: argparse.Namespace) -> int:
    """Check a configuration. Raises ConfigurationError with every mistake in it."""
    try:
        site = _checked(config_of(args))
    except ConfigurationError as error:
        if args.json:
            _print_json(
                {"ok": False, "problems": list(map(attrs.asdict, error.problems)), **_warnings_record(error.warnings)}
            )
        else:
            _print_warnings(error.warnings)
        raise
    if not args.json:
        _print_warnings(site.warnings)
        write_lines(_summary(site))
    created = create_all(site) if args.create else []
    if args.json:
        made = {"created": created} if args.create else {}
        _print_json({"ok": True, **_record(site), **_warnings_record(site.warnings), **made})
    else:
        write_lines(created)
    return OK


def _checked(file: Path) -> Site:
    """Read a configuration; check that its journal can be there, and that no other one has its state directory.

    Raises ConfigurationError.
    """
    site = load_site(file)
    try:
        state_directory.check(site.state, site.file)
        lacking = check_site_journal(site)
    except ConfigurationError as error:
        raise ConfigurationError(error.problems, site.warnings) from None
    if not lacking:
        return site
    text = f"the journal could not be opened now: {lacking}; `btcore run` would keep readings in memory until then"
    return evolve(site, warnings=(*site.warnings, Problem(text, key="journal", file=str(site.file), warning=True)))


def _print_warnings(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        say(str(warning))


def _warnings_record(warnings: Iterable[Problem]) -> Record:
    return {"warnings": list(map(attrs.asdict, warnings))}


def _print_json(record: Record) -> None:
    write_lines([json.dumps(record, indent=2, ensure_ascii=False)])


def _record(site: Site) -> Record:
    return {
        "file": str(site.file),
        **_site_values(site),
        "meters": list(map(_meter_record, _named_meters(site))),
        "channels": dict(site.channels),
        "virtual_channels": list(map(_virtual_record, site.virtual_channels)),
        "tariff": None if site.tariff is None else tariff_record(site.tariff, _today()),
        "sources": [_part(one) | _source_values(one) for one in site.sources],
        "sinks": [_part(one) | _sink_values(one) for one in site.sinks],
        "decoders": [{"name": one.name, "plugin": one.plugin} for one in site.decoders],
    }


def _today() -> date:
    return datetime.now().astimezone().date()


def _site_values(site: Site) -> Record:
    return {**setting_values(site, site_settings()), "journal": describe_url(site.journal), "sync": site.sync}


def _part(part: Source | Sink) -> Record:
    notes = _notes(part)
    return {"name": part.name, "plugin": part.plugin, **({"notes": notes} if notes else {})}


def _named_meters(site: Site) -> list[Meter]:
    """Return the meters of [meters]; those that sources name are shown with their sources."""
    return [meter for meter in site.meters if meter.name]


def _meter_record(meter: Meter) -> Record:
    return {
        "name": meter.name,
        "serial": meter.serial,
        "sends": sorted(meter.sends),
        "source": meter.source,
        "address": meter.address,
        "replaces": sorted(meter.replaces),
        "kind": meter.kind,
    }


def _virtual_record(channel: VirtualChannel) -> Record:
    return {
        "name": channel.name,
        "expression": channel.expression,
        "units": list(UNITS),
        "meters": [serial for serial in channel.terms.meters if serial],
        "terms": {
            "_".join(filter(None, one)): factor.numerator if factor.denominator == 1 else float(factor)
            for one, factor in channel.terms.factors.items()
        },
    }


def _virtual_text(channel: VirtualChannel) -> str:
    """Return the expression of a virtual channel, its units, and whose channels are in it."""
    meters = [serial for serial in channel.terms.meters if serial]
    several = "s" if len(meters) > 1 else ""
    whose = f"meter{several} {', '.join(meters)}" if meters else "the meter that is heard first"
    return f"{channel.expression}   ({' and '.join(UNITS)}, of {whose})"


def _source_values(source: Source) -> Record:
    return setting_values(source, settings_of(Source))


def _sink_values(sink: Sink) -> Record:
    return setting_values(sink.delivery, settings_of(Delivery))


def _summary(site: Site) -> Iterator[str]:
    yield f"{site.file}: no mistakes. It would run:"
    rows = [(one.table, one.plugin, _changed(_source_values(one), settings_of(Source))) for one in site.sources]
    rows += [(one.table, one.plugin, _changed(_sink_values(one), settings_of(Delivery))) for one in site.sinks]
    parts: tuple[Source | Sink, ...] = (*site.sources, *site.sinks)
    notes = {one.table: _notes(one) for one in parts}
    rows += [(one.table, one.plugin, "") for one in site.decoders]
    rows += [(f"meters.{one.name}", one.serial, _meter_settings(one)) for one in _named_meters(site)]
    rows += [(f"channels.{one.name}", "virtual", _virtual_text(one)) for one in site.virtual_channels]
    if site.tariff is not None:
        first, *more = describe_tariff(site.tariff, _today())
        rows.append(("tariff", site.tariff.currency, first))
        notes["tariff"] = [" " * max(len(row[1]) for row in rows) + f"  {line}" for line in more]
    settings = _site_values(site)
    width = max(*map(len, settings), *(len(row[0]) for row in rows))
    middle = max(len(row[1]) for row in rows)
    for table, plugin, changed in rows:
        yield f"  {table:<{width}}  {plugin:<{middle}}  {changed}".rstrip()
        for note in notes.get(table, ()):
            yield f"  {'':<{width}}  {note}"
    for name, value in settings.items():
        yield f"  {name:<{width}}  {value}"


def _notes(part: Source | Sink) -> list[str]:
    """Return what a plugin says of its settings, or why it cannot."""
    notes = getattr(part.instance, "notes", None)
    try:
        return [str(note) for note in notes()] if callable(notes) else []
    except Exception as error:  # noqa: BLE001 - a plugin's code
        return [f"the plugin {part.plugin} failed to describe its settings ({describe_error(error)})"]


def _meter_settings(meter: Meter) -> str:
    """Return the settings that identify a meter, as TOML."""
    settings = {key: value for key, value in _meter_record(meter).items() if key not in ("name", "serial") and value}
    return ", ".join(f"{key} = {toml_text(value)}" for key, value in settings.items())


def _changed(values: Record, usual: Iterable[Setting]) -> str:
    """Return the settings that differ from the defaults, as TOML."""
    changed = [entry.name for entry in usual if values[entry.name] != entry.plain_default]
    return ", ".join(f"{name} = {toml_text(values[name])}" for name in changed)
