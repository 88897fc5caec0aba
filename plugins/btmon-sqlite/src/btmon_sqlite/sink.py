# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. The file is opened in `database.py`; what is stored is `btcore.sql`'s."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from btcore import (
    Batch,
    Claim,
    Delivery,
    Duration,
    Problem,
    hookimpl,
    plugin,
)
from btcore.light import field, setting
from btcore.sql import SQLITE, SqlHooks
from btmon_sqlite.database import SqliteConnection, open_file, open_to_read
from btmon_sqlite.errors import path_problem

if TYPE_CHECKING:
    from btcore import DiagnosisContext, Discovered, Finding


# a commit writes at least two pages and waits for the disk: one for each reading wears out an SD card
@plugin(api=1, delivery=Delivery(flush_interval=Duration(60)))
class Sqlite(SqlHooks):
    """Stores readings in an SQLite file, in tables laid out as btmon's."""

    file: Path = setting(help="the database file; it is created if it does not exist", example="energy.db")
    _connection: SqliteConnection | None = field(init=False, default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        """Begin without a connection."""
        self.connect_by(SQLITE, str(self.file), self._connect, lambda: open_to_read(self.file))

    def check(self, state: Path | None = None) -> Iterator[Problem]:
        """Find a path that is a directory, and a directory that does not exist or is not writable for a service."""
        if self.file.is_dir():
            yield Problem(f"{self.file} is a directory: name a file, such as {self.file / 'energy.db'}", key="file")
        elif self.file.parent != state and (problem := path_problem(self.file)):
            yield Problem(problem, key="file", warning=True)
        yield from super().check()

    def claims(self) -> Iterator[Claim]:
        """Claim the tables of the file."""
        return self._writer.claims(os.path.realpath(self.file), key="file")

    @classmethod
    def discover(cls, _timeout: float) -> "Iterable[Discovered]":
        """Offer a file, which every computer can have."""
        from btcore import Discovered  # noqa: PLC0415 - a run does not need it

        yield Discovered(kind="sink", text="a file, energy.db, with every reading", settings={"file": "energy.db"})

    def diagnose(self, context: "DiagnosisContext") -> "Iterable[Finding]":
        """Find out whether the file can be written, or read. It is not made, and nothing in it is changed."""
        from btmon_sqlite.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        found = list(diagnose(self.file, is_written=not context.name.startswith("source.")))
        return found or super().diagnose(context)

    @hookimpl
    def process_batch(self, batch: Batch) -> int | None:
        """Store what a batch holds, in one transaction, each row once however often the batch comes."""
        self._close_if_gone()
        return super().process_batch(batch)

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Return serial number and key of what a batch holds that is stored already."""
        self._close_if_gone()
        return super().find_stored(batch)

    def _close_if_gone(self) -> None:
        """Close a file that was moved or deleted: a new one is opened."""
        if self._writer.is_open and self._connection is not None and self._connection.is_gone:
            self._writer.log.warning("%s was moved or deleted: a new file is created", self.file)
            self._writer.close()

    def _connect(self) -> SqliteConnection:
        self._connection = open_file(self.file)
        return self._connection
