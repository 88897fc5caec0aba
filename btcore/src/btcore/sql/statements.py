# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements for a table, as text: pure functions of a dialect and a table."""

from collections.abc import Iterable, Mapping, Sequence

from btcore.digest import sha256
from btcore.sql.dialect import Dialect, Kind
from btcore.sql.stored_rows import NO_TEXTS
from btcore.sql.table import Table

LONGEST_NAME = 63
"""Bytes of a name: PostgreSQL cuts off the rest, MySQL refuses a few more."""


def create_table(dialect: Dialect, table: Table) -> str:
    """Return the statement that makes the table, unless there is one."""
    fields = [_field(dialect, name, kind, required=name in table.primary_key) for name, kind in table.kinds.items()]
    key = _names(dialect, table.primary_key)
    return f"CREATE TABLE IF NOT EXISTS {dialect.quote_name(table.name)} ({', '.join(fields)}, PRIMARY KEY ({key}))"


def create_index(dialect: Dialect, table: Table, columns: Sequence[str], *, unique: bool = False) -> str:
    """Return the statement that makes an index, whose name is that of the table and its columns."""
    name = dialect.quote_name(index_name(table.name, columns))
    kind = "UNIQUE INDEX" if unique else "INDEX"
    return f"CREATE {kind} {name} ON {dialect.quote_name(table.name)} ({_names(dialect, columns)})"


def index_name(table: str, columns: Sequence[str]) -> str:
    """Return the name of an index: that of the table and its columns, shortened where no database takes it."""
    name = "_".join((table, *columns))
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{columns[0]}_{sha256(name.encode()).hex()[:16]}"


def add_column(dialect: Dialect, table: Table, name: str) -> str:
    """Return the statement that adds a column."""
    return f"ALTER TABLE {dialect.quote_name(table.name)} {dialect.add} {_field(dialect, name, table.kinds[name])}"


def widen_columns(dialect: Dialect, table: Table, names: Iterable[str]) -> str:
    """Return the statement that gives columns the types that they would have in a new table."""
    changes = (
        dialect.widen.format(column=dialect.quote_name(name), type=dialect.types[table.kinds[name]]) for name in names
    )
    return f"ALTER TABLE {dialect.quote_name(table.name)} {', '.join(changes)}"


def insert(dialect: Dialect, table: Table, idle: Mapping[int, str] = NO_TEXTS) -> str:
    """Return the statement that stores a row; of the columns that are `idle`, by their index, it has the values."""
    names = _names(dialect, table.kinds)
    values = ", ".join(idle.get(index, dialect.placeholder) for index in range(len(table.kinds)))
    return f"INSERT INTO {dialect.quote_name(table.name)} ({names}) VALUES ({values})"  # noqa: S608 - names are quoted


def find_stored(dialect: Dialect, table: Table, count: int) -> str:
    """Return the query for which of so many keys there are, with the serial number of each.

    Where the database has arrays, the keys are one value: to read a thousand placeholders takes longer than the answer.
    """
    key, serial, name = map(dialect.quote_name, (table.key, table.serial, table.name))
    if dialect.among:
        condition = dialect.among.format(column=key, type=dialect.types[table.kinds[table.key]])
    else:
        condition = f"{key} IN {dialect.placeholders(count)}"
    return f"SELECT DISTINCT {key}, {serial} FROM {name} WHERE {condition}"  # noqa: S608 - names are quoted


def find_repeated(dialect: Dialect, table: Table) -> str:
    """Return the query for rows that a unique key would refuse."""
    names, key = _names(dialect, table.primary_key), dialect.quote_name(table.key)
    name = dialect.quote_name(table.name)
    return (
        f"SELECT {names} FROM {name} WHERE {key} IS NOT NULL"  # noqa: S608 - names are quoted
        f" GROUP BY {names} HAVING COUNT(*) > 1 LIMIT 1"
    )


def find_slice(dialect: Dialect, table: Table, size: int) -> str:
    """Return the query for the time of the last row of a slice of the oldest rows, all older than a time."""
    time, name = dialect.quote_name(table.time), dialect.quote_name(table.name)
    return (
        f"SELECT {time} FROM {name} WHERE {time} < {dialect.placeholder}"  # noqa: S608 - names are quoted
        f" ORDER BY {time} LIMIT 1 OFFSET {size - 1:d}"
    )


def delete_older(dialect: Dialect, table: Table, comparison: str) -> str:
    """Return the statement that deletes all rows older than a time, which itself is included by `<=`."""
    time, name = dialect.quote_name(table.time), dialect.quote_name(table.name)
    return f"DELETE FROM {name} WHERE {time} {comparison} {dialect.placeholder}"  # noqa: S608 - names are quoted


def missing_columns(kinds: Mapping[str, Kind], present: Iterable[str]) -> list[str]:
    """Return the columns that a table lacks. SQL does not tell capitals from small letters in names."""
    there = {name.lower() for name in present}
    return [name for name in kinds if name.lower() not in there]


def _field(dialect: Dialect, name: str, kind: Kind, *, required: bool = False) -> str:
    return f"{dialect.quote_name(name)} {dialect.types[kind]}{' NOT NULL' if required else ''}"


def _names(dialect: Dialect, names: Iterable[str]) -> str:
    return ", ".join(map(dialect.quote_name, names))
