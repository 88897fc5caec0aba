# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the databases: how names are quoted, how values stand in a statement, what types are called.

A dialect is a value; there is one for each database that a plugin writes to. What its driver must do is the contract
`Connection`: a plugin wraps its driver's connection in a class with these methods; nothing else of a driver is used.
What a statement says is `statements.py`'s.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from btcore.classes import frozen
from btcore.records import from_microseconds, to_microseconds

Kind = Literal["key", "seconds", "serial", "text", "integer", "real", "time"]
"""What a column holds. `key` is microseconds since 1970, `seconds` whole seconds since 1970, `time` the database's own
type of a time, to the microsecond."""

Value = int | float | str | None


class Connection(Protocol):
    """An open connection. Every method raises SqlError for what the database answers."""

    def query(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Run a query; return all its rows."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it concerned."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement for each row."""

    def transaction(self) -> AbstractContextManager[None]:
        """Run a block in a transaction: all of it or nothing."""

    def close(self) -> None:
        """Close it; never raises."""


@frozen
class Dialect:
    """One database's SQL.

    `placeholder` stands for a value. `quote` is around a name. `types` has the type of a column of each kind. `zone`
    is what the database wants behind a time in UTC. `day` and `month` are the expressions for the local day, and the
    first day of the local month, of a column `time`. `narrow` are the types that keep fewer digits than a DOUBLE.
    `widen` is how one column is given another type. `epoch` is the expression for the seconds since 1970 of a time
    `{column}`; one without a zone is in that of the database's session (SQLite: UTC). `partitioner` is the query that
    finds what can divide a table by time, and `partition` the statement that does. `among` is the condition that a
    column `{column}` has one of the values of an array of the type `{type}`, which is one text; empty where there are
    no arrays. `add` is what comes before a column that is added; where the database can, so that one is left as it is
    that another worker has added meanwhile. `is_bound_slowly`: a value that is in the statement itself costs less than
    one that is given to it.
    """

    name: str
    placeholder: str
    quote: str
    types: Mapping[Kind, str]
    day: str
    month: str
    zone: str = ""
    narrow: frozenset[str] = frozenset()
    widen: str = ""
    epoch: str = ""
    partitioner: str = ""
    partition: str = ""
    among: str = ""
    add: str = "ADD COLUMN"
    is_bound_slowly: bool = False

    def quote_name(self, name: str) -> str:
        """Quote the name of a table or a column."""
        quoted = self.quote + name.replace(self.quote, 2 * self.quote) + self.quote
        return quoted.replace("%", "%%") if self.placeholder == "%s" else quoted

    def placeholders(self, count: int) -> str:
        """Return so many placeholders, in parentheses."""
        return f"({', '.join([self.placeholder] * count)})"

    def time_value(self, key: int) -> str:
        """Return the time of a key as a statement has it, in UTC."""
        return f"{from_microseconds(key):%Y-%m-%d %H:%M:%S.%f}{self.zone}"


def key_of(value: object) -> int | None:
    """Return the key of a value of a column of kind `key` or `time`; None for what is neither."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        return to_microseconds(value if value.tzinfo else value.replace(tzinfo=UTC))
    return value if isinstance(value, int) else None


SQLITE = Dialect(
    name="sqlite",
    placeholder="?",
    quote='"',
    types={
        "key": "INTEGER",
        "seconds": "INTEGER",
        "serial": "TEXT",
        "text": "TEXT",
        "integer": "INTEGER",
        "real": "REAL",
        "time": "TEXT",
    },
    day="date(time, 'localtime')",
    month="date(time, 'localtime', 'start of month')",
    epoch=(
        "CASE WHEN typeof({column}) <> 'text' THEN {column} WHEN {column} GLOB '*[^0-9]*'"
        " THEN CAST(strftime('%s', {column}) AS INTEGER) ELSE CAST({column} AS INTEGER) END"
    ),
    is_bound_slowly=True,  # 81 values of a row of a GEM take 15 µs, the 37 of them that are not 0 or NULL take 6
)

MYSQL = Dialect(
    name="mysql",
    placeholder="%s",
    quote="`",
    types={
        "key": "BIGINT",
        "seconds": "BIGINT",
        # two serial numbers that differ in capitals alone are two
        "serial": "VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "text": "VARCHAR(255) CHARACTER SET utf8mb4",
        "integer": "BIGINT",
        "real": "DOUBLE",
        "time": "DATETIME(6)",
    },
    day="DATE(CONVERT_TZ(time, '+00:00', 'SYSTEM'))",
    month=(
        "DATE(CONVERT_TZ(time, '+00:00', 'SYSTEM'))"
        " - INTERVAL (DAYOFMONTH(CONVERT_TZ(time, '+00:00', 'SYSTEM')) - 1) DAY"
    ),
    narrow=frozenset({"float", "decimal", "bigint", "int", "mediumint", "smallint", "tinyint"}),
    widen="MODIFY {column} {type}",
    epoch="UNIX_TIMESTAMP({column})",
)

POSTGRESQL = Dialect(
    name="postgresql",
    placeholder="%s",
    quote='"',
    types={
        "key": "BIGINT",
        "seconds": "BIGINT",
        "serial": "VARCHAR(64)",
        "text": "TEXT",
        "integer": "BIGINT",
        "real": "DOUBLE PRECISION",
        "time": "TIMESTAMPTZ",
    },
    day="CAST(time AS date)",
    month="CAST(date_trunc('month', time) AS date)",
    zone="+00",
    narrow=frozenset({"real", "numeric", "bigint", "integer", "smallint"}),
    widen="ALTER COLUMN {column} TYPE {type}",
    epoch="EXTRACT(EPOCH FROM CAST({column} AS timestamptz))",
    # of the extension TimescaleDB
    partitioner="SELECT 1 FROM pg_proc WHERE proname = 'create_hypertable' LIMIT 1",
    partition="SELECT create_hypertable(%s, 'time')",
    among="{column} = ANY(CAST(%s AS {type}[]))",
    add="ADD COLUMN IF NOT EXISTS",
)

DIALECTS: Mapping[str, Dialect] = {one.name: one for one in (SQLITE, MYSQL, POSTGRESQL)} | {"mariadb": MYSQL}
