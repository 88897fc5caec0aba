# SPDX-License-Identifier: GPL-3.0-or-later
"""The site that comes of the options of btmon: what holds for all of it, its source and its sinks."""

from collections.abc import Iterator

import attrs

from btmon_migrate.databases import database_sinks
from btmon_migrate.given import Doubts, Options
from btmon_migrate.services import service_sinks
from btmon_migrate.sources import SERVER_PORT, sources
from btmon_migrate.streams import print_sink, stream_sinks
from btmon_migrate.toml import Table, comment

NOT_NEEDED = ("packet_format", "device_type", "buffer_size", "mysql_persistent_connection", "db_schema", "full_serials")
"""Options that btcore does without: it finds the format, and the journal keeps what is not delivered."""

ORDERS = {
    "mysql_config": "btmon only made the database and its table, and ended: that is btcore check --create",
    "sqlite_config": "btmon only made the file and its table, and ended: that is btcore check --create",
    "skip_upload": "btmon sent nothing with this option: that is btcore run --dry-run; what is written here does send",
}
QUIET = "in a file it had no effect in btmon; on btcore's command line it is {flag}"


@attrs.frozen
class Site:
    """A site.toml in tables. `origin` names what it was made of."""

    origin: str
    tables: list[Table]

    def lines(self) -> Iterator[str]:
        """Write it, line by line."""
        yield from comment(
            f"Made of {self.origin} by btcore migrate. Next: btcore check, then btcore doctor, then btcore run."
        )
        for table in self.tables:
            yield ""
            yield from table.lines()

    def text(self) -> str:
        """Return what the file is to hold."""
        return "\n".join(self.lines()) + "\n"

    def complete(self, doubts: Doubts) -> None:
        """Add a source where none can be used, and a sink: without both, a site does not run."""
        if not self._has("source"):
            doubts.add("", f"no source can be used: one is written that listens for a meter on port {SERVER_PORT}")
            self.tables.append(Table("source.tcp-server", {"port": SERVER_PORT}, plugin="tcp-server"))
        if not self._has("sink"):
            doubts.add("", "no sink can be used: one is written that prints what the meter measures")
            self.tables.append(Table("sink.print", plugin="print"))

    def _has(self, kind: str) -> bool:
        return any(table.is_active and table.header.startswith(f"{kind}.") for table in self.tables)

    def plugins(self) -> list[str]:
        """Return the names of the plugins that it uses."""
        return sorted({table.plugin for table in self.tables if table.is_active and table.plugin})


def make_site(origin: str, options: Options) -> Site:
    """Make a site of options. What cannot be carried over becomes a doubt."""
    sinks = [*print_sink(options), *database_sinks(options), *stream_sinks(options), *service_sinks(options)]
    site = Site(origin, [_head(options), *sources(options), *sinks])
    site.complete(options.doubts)
    _left_over(options, options.doubts)
    return site


def _head(options: Options) -> Table:
    head = Table("")
    if options.is_on("reverse_polarity"):
        head.set("polarity", "brultech", "reverse_polarity: consumption is positive")
    else:
        head.set("polarity", "btmon", "the sign that btmon gave: consumption is negative")
    return head


def _left_over(options: Options, doubts: Doubts) -> None:
    for name, text in ORDERS.items():
        if given := options.get(name):
            doubts.add(given.where, f"{name}: {text}")
    for name, flag in (("quiet", "--quiet"), ("debug", "--verbose")):
        if (given := options.get(name)) and not given.where.startswith("-"):
            doubts.add(given.where, f"{name}: {QUIET.format(flag=flag)}")
    options.use(*NOT_NEEDED)
