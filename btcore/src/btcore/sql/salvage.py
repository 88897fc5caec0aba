# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what can still be read of an SQLite file that is damaged, such as a copy that was cut short.

A server's damaged table is its administrator's to repair; a file of btmon's may be all that is left of ten years.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

from btcore.classes import define, field
from btcore.sql.dialect import Connection, Value
from btcore.sql.errors import ErrorKind, SqlError

LAST = 1 << 62
"""No row has a higher number."""

Rows = list[tuple[Any, ...]]


@define(eq=False)
class SalvagingConnection:
    """A connection to an SQLite file, which is read as far as it can be. `damage` is what was found to be wrong."""

    connection: Connection
    damage: str = ""
    _is_forced: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Find out whether the file ends within a page: SQLite itself does not tell."""
        ((file,),) = self.query("SELECT file FROM pragma_database_list WHERE name = 'main'")
        ((page,),) = self.query("PRAGMA page_size")
        size = Path(file).stat().st_size if file else 0
        if size % page:
            self.damage = f"it was cut off after {size} bytes, within a page"

    def query(self, sql: str, values: Sequence[Value] = ()) -> Rows:
        """Run a query; return all its rows. Raises SqlError of the kind DAMAGED where some of them are lost."""
        try:
            return self.connection.query(sql, values)
        except SqlError as error:
            if error.kind is not ErrorKind.DAMAGED or self._is_forced:
                raise
            self.damage = self.damage or str(error.__cause__ or error)
        self._is_forced = True
        # so that SQLite opens a file that is shorter than it says itself
        self.connection.query("PRAGMA writable_schema = ON")
        return self.connection.query(sql, values)

    def query_or(self, instead: Rows, sql: str, values: Sequence[Value] = ()) -> Rows:
        """Run a query; return something else where what it asks for is lost."""
        try:
            return self.query(sql, values)
        except SqlError as error:
            if error.kind is not ErrorKind.DAMAGED:
                raise
            return instead

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; a source has none."""
        return self.connection.execute(sql, values)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement for each row; a source has none."""
        self.connection.execute_many(sql, rows)

    def transaction(self) -> AbstractContextManager[None]:
        """Run a transaction."""
        return self.connection.transaction()

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def next_rows(fetch: Callable[[int, int], Rows], first: int, limit: int) -> Rows:
    """Return some rows from number `first` on, in order; where these are lost, those behind them.

    `fetch` returns the rows from a number on, a limited count of them; it raises SqlError where one of them is lost.
    """
    while limit:
        rows = _try(fetch, first, limit)
        if rows is not None:
            return rows
        limit //= 4
    lost, step = first, 1
    while lost + step < LAST and _try(fetch, lost + step, 1) is None:
        step *= 2
    readable = min(lost + step, LAST)
    lost += step // 2
    while readable - lost > 1:
        middle = (lost + readable) // 2
        if _try(fetch, middle, 1) is None:
            lost = middle
        else:
            readable = middle
    return _try(fetch, readable, 1) or []


def _try(fetch: Callable[[int, int], Rows], first: int, limit: int) -> Rows | None:
    """Return rows; None where one of them is lost: what is left of a page may have numbers that are not in order."""
    try:
        rows = fetch(first, limit)
    except SqlError as error:
        if error.kind is not ErrorKind.DAMAGED:
            raise
        return None
    numbers = [row[0] for row in rows]
    return rows if all(one < other for one, other in pairwise([first - 1, *numbers])) else None
