"""`btcore check`: read a configuration as `run` would, and say what would run. Nothing is opened, nothing sent.

With `--create`, sinks create the databases, tables and files that they store into.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from btcore.cli import OK, add_config, config_of, write
from btcore.cli.storage import create_all
from btcore.config.load import Sink, Site, Source, load_site, site_settings
from btcore.config.meters import Meter
from btcore.errors import ConfigurationError, Problem
from btcore.logs.handler import say
from btcore.runtime import state_directory
from btcore.settings import Delivery
from btcore.values.describe import Setting, settings_of, toml_text, values_of

Record = dict[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="write what would run, or the problems, as JSON")
    parser.add_argument("--create", action="store_true", help="create the databases, tables and files that are missing")


def main(args: argparse.Namespace) -> int:
    """Check a configuration. Raises ConfigurationError with every mistake in it."""
    try:
        site = _checked(config_of(args))
    except ConfigurationError as error:
        if args.json:
            _write({"ok": False, "problems": list(map(attrs.asdict, error.problems)), **_warned(error.warnings)})
        else:
            _say(error.warnings)
        raise
    if not args.json:
        _say(site.warnings)
        write(_summary(site))
    created = create_all(site) if args.create else []
    if args.json:
        _write({"ok": True, **_record(site), **_warned(site.warnings), **({"created": created} if args.create else {})})
    else:
        write(created)
    return OK


def _checked(file: Path) -> Site:
    """Read a configuration, and whether its state is its own. Raises ConfigurationError."""
    site = load_site(file)
    try:
        state_directory.check(site.state, site.file)
    except ConfigurationError as error:
        raise ConfigurationError(error.problems, site.warnings) from None
    return site


def _say(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        say(str(warning))


def _warned(warnings: Iterable[Problem]) -> Record:
    return {"warnings": list(map(attrs.asdict, warnings))}


def _write(record: Record) -> None:
    write([json.dumps(record, indent=2, ensure_ascii=False)])


def _record(site: Site) -> Record:
    return {
        "file": str(site.file),
        **values_of(site, site_settings()),
        "meters": list(map(_meter, site.meters)),
        "channels": dict(site.channels),
        "sources": [{"name": one.name, "plugin": one.plugin, **_intake(one)} for one in site.sources],
        "sinks": [{"name": one.name, "plugin": one.plugin, **_delivery(one)} for one in site.sinks],
        "decoders": [{"name": one.name, "plugin": one.plugin} for one in site.decoders],
    }


def _meter(meter: Meter) -> Record:
    return {
        "name": meter.name,
        "serial": meter.serial,
        "sends": sorted(meter.sends),
        "source": meter.source,
        "address": meter.address,
        "replaces": sorted(meter.replaces),
    }


def _intake(source: Source) -> Record:
    return values_of(source, settings_of(Source))


def _delivery(sink: Sink) -> Record:
    return values_of(sink.delivery, settings_of(Delivery))


def _summary(site: Site) -> Iterator[str]:
    yield f"{site.file}: no mistakes. It would run:"
    rows = [(one.table, one.plugin, _changed(_intake(one), settings_of(Source))) for one in site.sources]
    rows += [(one.table, one.plugin, _changed(_delivery(one), settings_of(Delivery))) for one in site.sinks]
    rows += [(one.table, one.plugin, "") for one in site.decoders]
    rows += [(f"meters.{one.name}", one.serial, _known_by(one)) for one in site.meters]
    settings = values_of(site, site_settings())
    width = max(*map(len, settings), *(len(row[0]) for row in rows))
    middle = max(len(row[1]) for row in rows)
    for table, plugin, changed in rows:
        yield f"  {table:<{width}}  {plugin:<{middle}}  {changed}".rstrip()
    for name, value in settings.items():
        yield f"  {name:<{width}}  {value}"


def _known_by(meter: Meter) -> str:
    """Tell what a meter is known by, as the file would say it."""
    said = {key: value for key, value in _meter(meter).items() if key not in ("name", "serial") and value}
    return ", ".join(f"{key} = {toml_text(value)}" for key, value in said.items())


def _changed(values: Record, usual: Iterable[Setting]) -> str:
    """Tell what differs from the usual, as the file would say it."""
    changed = [entry.name for entry in usual if values[entry.name] != entry.plain_default]
    return ", ".join(f"{name} = {toml_text(values[name])}" for name in changed)
