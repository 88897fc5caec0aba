# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a table ready for rows: create it, add what it lacks, give it a key, report what it cannot keep.

A table of btmon's making, or of any other program, is continued as it is: nothing in it is changed, only added to.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging import Logger

from btcore.classes import define, field, frozen
from btcore.sql.dialect import Connection, Dialect
from btcore.sql.errors import ErrorKind, SqlError
from btcore.sql.existing import ExistingTable, find_table, holds
from btcore.sql.statements import add_column, create_index, create_table, find_repeated, missing_columns, widen_columns
from btcore.sql.table import Table

MOST_SHOWN = 4
"""Columns that a line shows; the statement in it has all."""

Notice = Callable[[Logger], None]
"""What is logged once a change is stored."""


@frozen
class PreparedTable:
    """A table that is ready. `by_key_alone`: no two rows may have the same key, whatever their meters."""

    table: Table
    by_key_alone: bool = False


@define
class Preparation:
    """Makes tables ready, within the transaction of the caller. `notices` is what to log after its end.

    `created` are the lines for a person about what was created. `reported` are the tables whose narrow columns were
    reported before.
    """

    connection: Connection
    dialect: Dialect
    where: str
    reported: set[str]
    notices: list[Notice] = field(factory=list)
    created: list[str] = field(factory=list)
    changed: set[str] = field(factory=set)

    def prepare(self, table: Table) -> PreparedTable:
        """Make a table ready. Raises SqlError."""
        there = find_table(self.connection, self.dialect, table.name)
        if there is None:
            self._create(table)
        if views := table.views(self.dialect):
            self._create_views(views)
            self._partition(table, is_new=there is None)
        return PreparedTable(table) if there is None else self._continue(table, there)

    def _continue(self, table: Table, there: ExistingTable) -> PreparedTable:
        """Add what a table lacks. Raises SqlError for a table of another program."""
        self.check_is_ours(table, there)
        table = table.with_found_columns(list(there.types))
        added = missing_columns(table.kinds, there.types)
        for name in added:
            self._add(add_column(self.dialect, table, name), partial(self._has, table, name))
        if added:
            self.changed.add(table.name)
            self._note_columns(table, added)
        self._note_narrow(table, there)
        return PreparedTable(table, self._key(table, there))

    def check_is_ours(self, table: Table, there: ExistingTable) -> None:
        """Raise SqlError for a table that has nothing of ours, or a key of which no row could be found again."""
        types = {name.lower(): kind for name, kind in there.types.items()}
        advice = "name another `table`, or another database"
        if not {table.serial, table.time} & set(types):
            names = ", ".join([*there.types][:MOST_SHOWN])
            raise SqlError(
                ErrorKind.STATEMENT,
                f"table {table.name} of {self.where} is of another program: it has neither {table.time} nor"
                f" {table.serial}, but {names}; {advice}",
            )
        for column in (table.key, table.time):
            found, kind = types.get(column), table.kinds[column]
            if found is not None and not holds(self.dialect, kind, found):
                raise SqlError(
                    ErrorKind.STATEMENT,
                    f"column {column} of table {table.name} of {self.where} is {found.upper()}, expected"
                    f" {self.dialect.types[kind]}: {advice}",
                )

    def index_time(self, table: Table) -> bool:
        """Make an index for finding old rows, unless there is one; return whether there is such a table."""
        there = find_table(self.connection, self.dialect, table.name)
        if there is not None and table.time not in there.leading:
            self._add_index(table, (table.time,))
        return there is not None

    def _create(self, table: Table) -> None:
        self.connection.execute(create_table(self.dialect, table))
        for columns in table.indexes:
            self._add_index(table, columns)
        self.changed.add(table.name)
        self.created.append(f"created table {table.name} in {self.where}")

    def _create_views(self, views: Mapping[str, str]) -> None:
        for name, statement in views.items():
            if find_table(self.connection, self.dialect, name) is None:
                self._add(statement, partial(self._exists, name))
                self.created.append(f"created view {name} in {self.where}")

    def _partition(self, table: Table, *, is_new: bool) -> None:
        """Divide a new table by time where the database can; one that has rows would be locked for long."""
        partitioner = self.dialect.partitioner
        if is_new and partitioner and self.connection.query(partitioner):
            self.connection.query(self.dialect.partition, (self.dialect.quote_name(table.name).replace("%%", "%"),))
            self.created.append(f"made table {table.name} a hypertable")

    def _key(self, table: Table, there: ExistingTable) -> bool:
        """See to it that no row is stored twice; return whether the key alone is unique."""
        pair = frozenset(table.primary_key)
        if frozenset({table.key}) in there.unique:
            return True
        if pair not in there.unique and table.key not in there.leading:
            self._make_key(table)
        return False

    def _make_key(self, table: Table) -> None:
        repeated = self.connection.query(find_repeated(self.dialect, table))
        unique = not repeated
        self._add_index(table, table.primary_key, unique=unique)
        if repeated:
            columns = ", ".join(table.primary_key)
            text = (
                "table %s of %s has rows with the same %s, so it gets no unique key; each row is looked for before it"
                " is stored: let no two programs write to it"
            )
            self.notices.append(lambda log: log.warning(text, table.name, self.where, columns))

    def _add_index(self, table: Table, columns: Sequence[str], *, unique: bool = False) -> None:
        statement = create_index(self.dialect, table, columns, unique=unique)
        self._add(statement, partial(self._has_index, table, columns[0]))

    def _add(self, statement: str, is_there: Callable[[], bool]) -> None:
        """Add something that was not found. Where another worker has added it meanwhile, it is found by now."""
        try:
            self.connection.execute(statement)
        except SqlError as error:
            if error.kind is not ErrorKind.EXISTS or not is_there():
                raise

    def _exists(self, name: str) -> bool:
        return find_table(self.connection, self.dialect, name) is not None

    def _has(self, table: Table, column: str) -> bool:
        there = find_table(self.connection, self.dialect, table.name)
        return there is not None and column not in missing_columns(table.kinds, there.types)

    def _has_index(self, table: Table, column: str) -> bool:
        there = find_table(self.connection, self.dialect, table.name)
        return there is not None and column in there.leading

    def _note_columns(self, table: Table, added: list[str]) -> None:
        usual = ", ".join(name for name in added if name not in table.further_columns)
        channels = ", ".join(dict.fromkeys(table.further_columns[n] for n in added if n in table.further_columns))
        if usual:
            text = "added missing columns to table %s of %s: %s"
            self.notices.append(lambda log: log.warning(text, table.name, self.where, usual))
        if channels:
            later = "table %s of %s has columns for %s from now on, as they have measured something"
            self.notices.append(lambda log: log.info(later, table.name, self.where, channels))

    def _note_narrow(self, table: Table, there: ExistingTable) -> None:
        """Report the columns that lose digits of what is stored, with the statement that widens them."""
        types = {name.lower(): (name, kind) for name, kind in there.types.items()}
        narrow = narrow_columns(table, self.dialect, types)
        if not narrow or table.name in self.reported:
            return
        self.reported.add(table.name)
        listed = ", ".join(f"{name} ({types[name.lower()][1].upper()})" for name in narrow[:MOST_SHOWN])
        more = f" and {len(narrow) - MOST_SHOWN} more" if len(narrow) > MOST_SHOWN else ""
        statement = widen_columns(self.dialect, table, narrow).replace("%%", "%")
        text = "table %s of %s keeps fewer digits than are measured in %s%s; this widens them: %s"
        self.notices.append(lambda log: log.warning(text, table.name, self.where, listed, more, statement))


def narrow_columns(table: Table, dialect: Dialect, types: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the columns for real numbers whose type, by the name in small letters, keeps fewer digits than needed."""
    return [
        name
        for name, kind in table.kinds.items()
        if kind == "real"
        and name not in table.measured
        and name.lower() in types
        and types[name.lower()][1] in dialect.narrow
    ]
