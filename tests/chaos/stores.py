# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program delivers to: real databases, the troubles that they make, and what they have in the end."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import attrs
from helpers.database_rows import table_rows
from servers.database_servers import MariaDB

SITE_OF_EACH = """
min_backoff = "100ms"
max_backoff = "1s"
"""
WH = 3600
Identity = tuple[str, int]
"""A serial number and a key, which identify a reading."""


@attrs.frozen
class Stored:
    """What a sink has: each reading as often as it is there, and the net Ws of each meter's channels.

    `rounding` is by how many Ws a sum of energies may be off, because of what the sink's columns can hold. A sink with
    counters does not have their value before the first sample: `is_from_first_sample`.
    """

    readings: Counter[Identity] = attrs.field(factory=Counter)
    energy: Mapping[tuple[str, str], float] = attrs.field(factory=dict)
    rounding: float = 0.01
    is_from_first_sample: bool = False


class Store(Protocol):
    """One that is delivered to."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def table(self) -> str:
        """Its table in the configuration."""

    def trouble(self, what: str, /) -> AbstractContextManager[None]:
        """Make trouble while the block runs."""

    def stored(self) -> Stored:
        """Return what it has."""


@attrs.frozen
class SqliteFile:
    """A file of SQLite, with one of the schemas `counters` and `samples`."""

    name: str
    folder: Path

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / f"{self.name}.db"

    @property
    def table(self) -> str:
        """Its table."""
        return f'[sink.{self.name}]\nuse = "sqlite"\nfile = "{self.file}"\nschema = "{self.name}"\nflush_interval = 0\n'

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Lock the file, as a database browser does with changes that are not saved."""
        assert what == "locked"
        with closing(sqlite3.connect(self.file, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def stored(self) -> Stored:
        """Return what is in it."""
        if self.name == "samples":
            rows = table_rows(self.file, "samples", "serial, time, channel, wh_delta")
            once = Counter((serial, _key(time)) for serial, time in {row[:2] for row in rows})
            return Stored(once, sums((serial, channel, delta) for serial, _, channel, delta in rows))
        tables = [name for (name,) in table_rows(self.file, "sqlite_master WHERE type = 'table'", "name")]
        own = [name for name in tables if name.endswith("_counters")]
        return Stored(Counter(tuple(row) for name in own for row in table_rows(self.file, name, "serial, id")))


@attrs.define
class MariaDBStore:
    """A MariaDB, with the schema `ecmreadext`."""

    server: MariaDB
    name: str = "mariadb"

    def __attrs_post_init__(self) -> None:
        """Make the user."""
        self.server.sql("CREATE USER 'btcore'@'%' IDENTIFIED BY 'secret'")
        self.server.sql("GRANT ALL ON *.* TO 'btcore'@'%'")

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.mariadb]\nuse = "mysql"\nhost = "127.0.0.1"\nport = {self.server.port}\nuser = "btcore"\n'
            'password = "secret"\ndatabase = "energy"\nschema = "ecmreadext"\nflush_interval = "300ms"\n'
        )

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """End as when the power fails, stand still, cut all connections, or let nobody write."""
        if what == "killed":
            self.server.kill()
            yield
            self.server.start()
        elif what == "stopped":
            assert self.server.process is not None
            self.server.process.send_signal(19)
            yield
            self.server.process.send_signal(18)
        elif what == "cut":
            self.server.sql("KILL USER btcore")
            yield
        else:
            with self.server.connect() as connection, connection.cursor() as statement:
                statement.execute("FLUSH TABLES WITH READ LOCK")
                yield

    def stored(self) -> Stored:
        """Return what is in its tables."""
        readings: Counter[Identity] = Counter()
        energy: dict[tuple[str, str], float] = {}
        for (table,) in self.server.sql("SHOW TABLES FROM energy LIKE '%ecmreadext'"):
            names = [name for name, *_ in self.server.sql(f"SHOW COLUMNS FROM energy.{table}")]
            deltas = [name for name in names if name.endswith("_dwh")]
            rows = self.server.sql(f"SELECT ecm_serial, id, {', '.join(deltas)} FROM energy.{table}")
            readings.update((str(serial), int(key)) for serial, key, *_ in rows)
            energy |= sums(
                (str(row[0]), delta.removesuffix("_dwh"), value)
                for row in rows
                for delta, value in zip(deltas, row[2:], strict=True)
            )
        return Stored(readings, energy)


def _key(time: str) -> int:
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def sums(rows: Iterable[tuple[str, str, float | None]]) -> dict[tuple[str, str], float]:
    """Return the Ws of each channel; the rows have Wh, or None where that is not known."""
    found: dict[tuple[str, str], float] = {}
    for serial, channel, value in rows:
        if value is not None:
            found[serial, channel] = found.get((serial, channel), 0.0) + value * WH
    return found
