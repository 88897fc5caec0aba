# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error of a database means: a table of kinds, and for each database the codes that are of a kind.

A plugin makes its driver's exception an `SqlError`; what then happens is the same for all. How an exception is taken
apart is the plugin's.
"""

from collections.abc import Mapping
from enum import Enum

from btcore.errors import BtcoreError, Reject, Retry, Stop


class ErrorKind(Enum):
    """What an error means, and so what must be done."""

    UNAVAILABLE = "the server cannot be reached, or takes no one in now: wait"
    UNTRUSTED = "the server's certificate is not trusted: wait, as it may be renewed"
    LOST = "the connection was lost: connect again, once at once, then wait"
    CONFLICT = "another transaction was in the way: wait"
    SPACE = "no space is left: wait"
    CREDENTIALS = "the user or the password is wrong: a person has to act"
    ADDRESS = "what says where the database is cannot be meant: a person has to act"
    PERMISSION = "the user lacks a right: a person has to act"
    NO_DATABASE = "there is no such database: create it"
    NO_TABLE = "there is no such table: create it"
    NO_COLUMN = "the table lacks a column: add it"
    EXISTS = "what was to be made is there already: look again, then a person has to act"
    DUPLICATE = "a unique key has these values already: look again what is stored, then reject the row"
    ROW = "this row is refused, and always will be: reject it"
    STATEMENT = "no statement of this kind works: a person has to act"
    DAMAGED = "what is stored is damaged: a person has to act"


MESSAGES: Mapping[ErrorKind, str] = {
    ErrorKind.UNAVAILABLE: "{where} cannot be reached ({error}); btcore tries again until it can",
    ErrorKind.UNTRUSTED: "{where} shows a certificate that is not trusted ({error}): correct it, or which are trusted;"
    " btcore tries again",
    ErrorKind.LOST: "the connection to {where} was lost ({error}); btcore connects again",
    ErrorKind.CONFLICT: "another transaction was in the way at {where} ({error}); btcore tries again",
    ErrorKind.SPACE: "no space left at {where} ({error}): free space on its disk; the readings wait in the journal",
    ErrorKind.CREDENTIALS: "{where} refuses the user ({error}): correct `user` and `password`",
    ErrorKind.ADDRESS: "{where} cannot be opened as the settings say ({error}): correct them",
    ErrorKind.PERMISSION: "the user has not all rights at {where} ({error}); an administrator gives them by: {grant}",
    ErrorKind.NO_DATABASE: "{where} does not exist ({error}); `btcore check --create` creates it",
    ErrorKind.NO_TABLE: "a table of {where} is missing, and is missing again after it was created ({error})",
    ErrorKind.NO_COLUMN: "a table of {where} lacks a column, and lacks it again after it was added ({error})",
    ErrorKind.EXISTS: "{where} has already what a statement makes, and it was not found there ({error}): check its"
    " table, or name another `table`",
    ErrorKind.DUPLICATE: "{where} has a row like this already ({error})",
    ErrorKind.ROW: "{where} refuses this row ({error})",
    ErrorKind.STATEMENT: "{where} refuses a statement ({error}): check its table, or name another `table`",
    ErrorKind.DAMAGED: "a table of {where} is damaged ({error}): an administrator has to repair it",
}
"""What a person is told. `where` is the database, `error` the server's own words, `grant` the statement that helps."""

RETRIED = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.UNTRUSTED, ErrorKind.LOST, ErrorKind.CONFLICT, ErrorKind.SPACE})
REJECTED = frozenset({ErrorKind.DUPLICATE, ErrorKind.ROW})

AT_ONCE = frozenset({ErrorKind.LOST, ErrorKind.NO_TABLE, ErrorKind.NO_COLUMN, ErrorKind.EXISTS, ErrorKind.DUPLICATE})
"""After these the same is tried once more at once: on a new connection, with tables that are looked at anew."""

DISCONNECTED = frozenset(
    {
        *(ErrorKind.UNAVAILABLE, ErrorKind.UNTRUSTED, ErrorKind.LOST),
        *(ErrorKind.CREDENTIALS, ErrorKind.NO_DATABASE),
    }
)
"""After these the connection is of no more use."""

MYSQL_ERRORS: Mapping[int, ErrorKind] = {
    **dict.fromkeys(
        # of the client: cannot connect; of the server: too many connections, shutdown, read-only, no more threads
        (2002, 2003, 2005, 2026, 1040, 1203, 1226, 1053, 1077, 1135, 1159, 1161, 1290, 1792, 1836),
        ErrorKind.UNAVAILABLE,
    ),
    **dict.fromkeys((2006, 2013, 2014, 2027, 2055, 0, 1152, 1156, 1158, 1160, 1184, 1927, 4031), ErrorKind.LOST),
    **dict.fromkeys((1205, 1213, 1020, 1317, 1412, 1637, 1969, 3024), ErrorKind.CONFLICT),
    **dict.fromkeys((1021, 1114, 1026, 1030, 1041, 1037, 1038, 3, 28), ErrorKind.SPACE),
    **dict.fromkeys((1045, 1698, 1130, 1251, 2059, 1820, 1862, 3118, 4151), ErrorKind.CREDENTIALS),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), ErrorKind.PERMISSION),
    1102: ErrorKind.ADDRESS,
    **dict.fromkeys((126, 127, 134, 144, 145, 1034, 1035, 1194, 1195, 1712, 1877), ErrorKind.DAMAGED),
    1049: ErrorKind.NO_DATABASE,
    **dict.fromkeys((1146, 1051), ErrorKind.NO_TABLE),
    1054: ErrorKind.NO_COLUMN,
    **dict.fromkeys((1050, 1060, 1061), ErrorKind.EXISTS),  # a table or view, a column, an index
    **dict.fromkeys((1062, 1586), ErrorKind.DUPLICATE),
    **dict.fromkeys(
        (1048, 1264, 1265, 1292, 1364, 1366, 1367, 1406, 1452, 1216, 1690, 3819, 4025, 1118, 1153, 1644),
        ErrorKind.ROW,
    ),
}
"""Codes of MySQL and MariaDB; what is not here is a STATEMENT."""

POSTGRESQL_ERRORS: Mapping[str, ErrorKind] = {
    "08": ErrorKind.LOST,
    "57P01": ErrorKind.LOST,
    "57P02": ErrorKind.LOST,
    "57P03": ErrorKind.UNAVAILABLE,
    "57": ErrorKind.CONFLICT,
    "53300": ErrorKind.UNAVAILABLE,
    "53": ErrorKind.SPACE,
    "58": ErrorKind.SPACE,
    "25006": ErrorKind.UNAVAILABLE,
    "40": ErrorKind.CONFLICT,
    "55P03": ErrorKind.CONFLICT,
    "55006": ErrorKind.CONFLICT,
    "28": ErrorKind.CREDENTIALS,
    # another worker, or another program, makes the same table, index, view or type at the same time
    **dict.fromkeys(("42P07", "42710"), ErrorKind.CONFLICT),
    "42501": ErrorKind.PERMISSION,
    "3D000": ErrorKind.NO_DATABASE,
    "42P01": ErrorKind.NO_TABLE,
    "42703": ErrorKind.NO_COLUMN,
    "23505": ErrorKind.DUPLICATE,
    "23": ErrorKind.ROW,
    "22": ErrorKind.ROW,
    "XX001": ErrorKind.DAMAGED,
    "XX002": ErrorKind.DAMAGED,
}
"""SQLSTATEs of PostgreSQL, or the class that the first two characters name; what is not here is a STATEMENT."""


def mysql_kind(code: object, words: str = "") -> ErrorKind:
    """Return what an error of MySQL or MariaDB means; `words` are the driver's, for what has no code of its own."""
    if "certificate verify failed" in words:
        return ErrorKind.UNTRUSTED
    return MYSQL_ERRORS.get(code, ErrorKind.STATEMENT) if isinstance(code, int) else ErrorKind.STATEMENT


def postgresql_kind(sqlstate: str) -> ErrorKind:
    """Return what an error of PostgreSQL means."""
    by_class = POSTGRESQL_ERRORS.get(sqlstate[:2], ErrorKind.STATEMENT)
    return POSTGRESQL_ERRORS.get(sqlstate, by_class)


class SqlError(BtcoreError):
    """An error of a database, whichever driver it came by: its kind, and its message for a person."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.kind = kind

    @classmethod
    def at(cls, where: str, kind: ErrorKind, error: str, grant: str = "") -> "SqlError":
        """Make the error of a database from the server's own words; `grant` is the statement that gives the right."""
        return cls(kind, MESSAGES[kind].format(where=where, error=error, grant=grant))

    def outcome(self) -> Retry | Reject | Stop:
        """Return what a sink answers to the core."""
        if self.kind in RETRIED:
            return Retry(str(self))
        return Reject(str(self)) if self.kind in REJECTED else Stop(str(self))
