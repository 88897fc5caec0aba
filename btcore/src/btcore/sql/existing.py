# SPDX-License-Identifier: GPL-3.0-or-later
"""What a table that is there already looks like: its columns, their types, and what is unique in it.

What is done about it is `database.py`'s.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from btcore.classes import frozen
from btcore.sql.dialect import MYSQL, POSTGRESQL, SQLITE, Connection, Dialect, Kind
from btcore.sql.errors import SqlError


@frozen
class ExistingTable:
    """A table of the database. `types` are its columns, as they are written, each with its type in small letters.

    `unique` are the sets of columns of which each is unique, in small letters; `leading` the columns that an index
    begins with.
    """

    types: Mapping[str, str]
    unique: frozenset[frozenset[str]] = frozenset()
    leading: frozenset[str] = frozenset()


NUMBERS = ("int", "dec", "num", "doub", "floa", "real")
TIMES = ("timestamp", "datetime", "date")


def is_time(dialect: Dialect, type_name: str) -> bool:
    """Whether a column of this type, in small letters, has times that are no numbers."""
    texts = ("char", "text") if dialect.name == SQLITE.name else ()
    return type_name.startswith((*TIMES, *texts)) or (bool(texts) and "char" in type_name)


def holds(dialect: Dialect, kind: Kind, type_name: str) -> bool:
    """Whether a column of this type, in small letters, can be the key of rows, an integer or a time, or have seconds.

    SQLite takes any name for a type, and none; what is refused is what it would keep in another way.
    """
    if dialect.name == SQLITE.name:
        if kind == "seconds":
            return not is_time(dialect, type_name)
        others = ("char", "clob", "text") if kind == "key" else ("int",)
        return not any(part in type_name for part in (*others, "blob", "real", "floa", "doub"))
    if kind == "seconds":
        return any(part in type_name for part in NUMBERS)
    return "int" in type_name if kind == "key" else type_name.startswith(("timestamp", "datetime"))


def find_table(connection: Connection, dialect: Dialect, name: str) -> ExistingTable | None:
    """Look for a table; None where there is none. Raises SqlError."""
    types, indexes = _FINDERS[dialect.name](connection, name)
    if not types:
        return None
    columns: dict[object, list[str]] = defaultdict(list)
    unique: set[object] = set()
    for index, is_unique, column in indexes:
        columns[index].append(str(column).lower())
        unique |= {index} if is_unique else set()
    return ExistingTable(
        types,
        frozenset(frozenset(columns[index]) for index in unique),
        frozenset(some[0] for some in columns.values()),
    )


def has_rowid(connection: Connection, name: str) -> bool:
    """Whether a table of SQLite has a rowid: a view has none, nor a table that was made WITHOUT ROWID."""
    views = connection.query("SELECT 1 FROM sqlite_master WHERE type = 'view' AND lower(name) = lower(?)", (name,))
    try:
        connection.query(f"SELECT rowid FROM {SQLITE.quote_name(name)} LIMIT 0")  # noqa: S608 - the name is quoted
    except SqlError:
        return False
    return not views


Found = tuple[dict[str, str], list[tuple[object, bool, str]]]
"""Types by column; and a row for each column of an index, in order: the index, whether it is unique, the column."""


def _sqlite(connection: Connection, name: str) -> Found:
    columns = connection.query("SELECT name, lower(type), pk FROM pragma_table_info(?)", (name,))
    indexes = connection.query(
        'SELECT l.name, l."unique" AND NOT l.partial, i.name FROM pragma_index_list(?) AS l,'
        " pragma_index_info(l.name) AS i WHERE i.name IS NOT NULL ORDER BY l.name, i.seqno",
        (name,),
    )
    # the index of an INTEGER PRIMARY KEY is the table itself
    keys = sorted((pk, column) for column, _, pk in columns if pk)
    own = [("", True, column) for _, column in keys]
    return {column: kind for column, kind, _ in columns}, [*own, *((i, bool(u), c) for i, u, c in indexes)]


def _mysql(connection: Connection, name: str) -> Found:
    columns = connection.query(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (name,),
    )
    indexes = connection.query(
        "SELECT index_name, non_unique, column_name FROM information_schema.statistics"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY index_name, seq_in_index",
        (name,),
    )
    types = {str(column): str(kind).lower() for column, kind in columns}
    return types, [(index, not int(other), column) for index, other, column in indexes]


def _postgresql(connection: Connection, name: str) -> Found:
    # information_schema hides tables that the user has no right to
    columns = connection.query(
        "SELECT a.attname, split_part(format_type(a.atttypid, a.atttypmod), '(', 1) FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema() AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attnum",
        (name,),
    )
    indexes = connection.query(
        "SELECT i.indexrelid, i.indisunique AND i.indpred IS NULL, a.attname"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number"
        " WHERE n.nspname = current_schema() AND c.relname = %s ORDER BY i.indexrelid, k.place",
        (name,),
    )
    return {str(c): str(k).lower() for c, k in columns}, [(i, bool(u), c) for i, u, c in indexes]


_FINDERS: Mapping[str, Callable[[Connection, str], Found]] = {
    SQLITE.name: _sqlite,
    MYSQL.name: _mysql,
    POSTGRESQL.name: _postgresql,
}
