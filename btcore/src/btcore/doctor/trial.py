# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying tables that are not a site yet: who is heard by a source, and what is wrong with a source or a sink.

For `btcore init --interactive`. The same ears, and the same questions to plugins, as `btcore doctor` has.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from btcore.classes import define, field, frozen
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.doctor.diagnosis import find_in_parts, redacted
from btcore.doctor.ears import listen
from btcore.doctor.facts import SinkFacts, SiteFacts
from btcore.findings import Finding
from btcore.redaction import Redactor
from btcore.settings import Kind
from btcore.values.describe import toml_key, toml_text

UNDER_TRIAL = "trial.toml"


@define
class TableText:
    """A table that is to be: its kind, name and plugin, and its settings as a configuration has them."""

    kind: Kind
    name: str
    plugin: str
    settings: dict[str, object] = field(factory=dict)

    def __str__(self) -> str:
        """As it is written."""
        use = {} if self.name == self.plugin else {"use": self.plugin}
        lines = [f"{toml_key(key)} = {toml_text(value)}" for key, value in {**use, **self.settings}.items()]
        return "\n".join([f"[{self.kind}.{toml_key(self.name)}]", *lines, ""])


def hear(tables: Sequence[TableText], seconds: float) -> Mapping[str, tuple[str, ...]]:
    """Listen to all sources among some tables at once; return which meters each hears, by the name of its table.

    Nothing is sent. Raises ConfigurationError where a setting is wrong.
    """
    with _Trial(tables) as site:
        return {one.source.name: one.serials for one in listen(site, seconds)[0]}


@frozen
class SourceTrial:
    """What came of listening to a source: the meters that were heard, and what is wrong; whether it could be opened."""

    serials: tuple[str, ...]
    found: tuple[Finding, ...]
    is_open: bool


def examine_source(table: TableText, seconds: float) -> SourceTrial:
    """Listen to a source, and ask its meter for a packet if it sends none.

    Raises ConfigurationError where a setting is wrong.
    """
    with _Trial([table]) as site:
        heard = listen(site, seconds)[0]
        found = find_in_parts(_facts(site, sources=heard), heard, seconds)
        plain = tuple(redacted(finding, Redactor(site.secrets)) for finding in found)
        return SourceTrial(heard[0].serials, plain, is_open=not heard[0].failure)


def examine_sink(table: TableText, seconds: float) -> list[Finding]:
    """Ask a sink's plugin what is wrong. Raises ConfigurationError where a setting is wrong."""
    with _Trial([table]) as site:
        sinks = [SinkFacts(sink=sink) for sink in site.sinks if sink.name == table.name]
        found = find_in_parts(_facts(site, sinks=sinks), sinks, seconds)
        return [redacted(finding, Redactor(site.secrets)) for finding in found]


def _facts(site: Site, **parts: Iterable[object]) -> SiteFacts:
    return SiteFacts(site=site, now=datetime.now(UTC), **{key: tuple(value) for key, value in parts.items()})  # type: ignore[arg-type]


class _Trial:
    """The tables as a site of their own, in a directory that only this user may read, and that is removed."""

    def __init__(self, tables: Sequence[TableText]) -> None:
        self._tables = tables
        self._folder = tempfile.TemporaryDirectory(prefix="btcore-")

    def __enter__(self) -> Site:
        try:
            file = Path(self._folder.name, UNDER_TRIAL)
            file.write_text("\n".join([f"state = {toml_text(self._folder.name)}", *map(str, self._tables)]), "utf-8")
            return load_site(file, complete=False)
        except BaseException:
            self._folder.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
