# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting old rows, a slice at a time, so that no call takes long and no lock is held long.

Which rows a source still has to read is not known here: a sink that deletes claims its tables for itself, so that no
source of the same configuration reads them.
"""

import time
from collections.abc import Callable, Iterable

from btcore.classes import define, field
from btcore.sql.database import Database
from btcore.sql.dialect import Connection
from btcore.sql.preparation import Preparation
from btcore.sql.statements import delete_older, find_slice
from btcore.sql.table import Table

SLICE = 2000
"""Rows of one call; more only where several have the same second."""

REST = 600.0
"""Seconds until it is looked again, once nothing is old."""


@define
class Retention:
    """Deletes rows that are older than so many seconds; 0: none, ever.

    `others` are tables that an earlier run may have stored into: of formats that no meter sends any more. An index on
    the column of the time is made where there is none, once.
    """

    seconds: float
    others: Iterable[Table] = ()
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _due: float = field(default=0.0, init=False)
    _ready: dict[str, bool] = field(factory=dict, init=False)

    def turn(self, database: Database, newest: int) -> int:
        """Delete a slice of each table, if it is time to; return how many rows went. Raises SqlError.

        `newest` is the key of the newest reading that was stored: where the computer's clock is ahead of all meters,
        time is counted from that.
        """
        if not self.seconds or self.monotonic() < self._due:
            return 0
        limit = int((min(self.clock(), newest / 1_000_000) - self.seconds) * 1_000_000)
        tables = {table.name: table for table in self.others} | database.tables
        deleted = [self._delete(database, one, limit) for one in tables.values() if self._is_there(database, one)]
        if not any(count >= SLICE for count in deleted):
            self.rest()
        return sum(deleted)

    def rest(self) -> None:
        """Do nothing for a while."""
        self._due = self.monotonic() + REST

    def _delete(self, database: Database, table: Table, limit: int) -> int:
        dialect, connection = database.dialect, database.connection
        value = limit // 1_000_000 if table.kinds[table.time] == "seconds" else dialect.time_value(limit)
        with connection.transaction():
            last = _last_of_slice(database, table, value)
            if last is None:
                return connection.execute(delete_older(dialect, table, "<"), (value,))
            return connection.execute(delete_older(dialect, table, "<="), (last,))

    def _is_there(self, database: Database, table: Table) -> bool:
        """Whether there is such a table; then it has an index by which old rows are found."""
        if table.name not in self._ready:
            with database.connection.transaction():
                work = Preparation(database.connection, database.dialect, database.where, database.reported)
                self._ready[table.name] = work.index_time(table)
        return self._ready[table.name] or table.name in database.tables


def _last_of_slice(database: Database, table: Table, value: int | str) -> int | str | None:
    connection: Connection = database.connection
    found = connection.query(find_slice(database.dialect, table, SLICE), (value,))
    last: int | str | None = found[0][0] if found else None
    return last
