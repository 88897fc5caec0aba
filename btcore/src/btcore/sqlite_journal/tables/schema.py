# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the SQLite journal, and what brings the file of an earlier version up to them.

A file of something else is refused. The format is public: docs/journal.md. What is read from the tables and written to
them does not belong here.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from btcore.errors import Unavailable

VERSION = 11
"""Of the tables below, kept in the file. The format is public: docs/journal.md."""

TABLES = """
CREATE TABLE entry (
    offset     INTEGER PRIMARY KEY AUTOINCREMENT,
    key        INTEGER NOT NULL,
    added      INTEGER NOT NULL,
    source     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    format     TEXT NOT NULL,
    packetless INTEGER NOT NULL,
    raw        BLOB NOT NULL,
    monotonic  INTEGER NOT NULL DEFAULT 0,
    boot       INTEGER NOT NULL DEFAULT 0,
    address    TEXT NOT NULL DEFAULT '',
    origin     TEXT NOT NULL DEFAULT '',
    checksum   INTEGER,
    dictionary INTEGER NOT NULL DEFAULT 0,
    size       INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX entry_identity ON entry (key, serial);
CREATE TABLE block (
    number  INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
);
CREATE TABLE checkpoint (
    sink           TEXT PRIMARY KEY,
    offset         INTEGER NOT NULL,
    examined       INTEGER NOT NULL DEFAULT 0,
    first_unwanted INTEGER NOT NULL DEFAULT 0,
    settings       TEXT NOT NULL DEFAULT '',
    accepted       TEXT NOT NULL DEFAULT '',
    revision       INTEGER NOT NULL DEFAULT 1,
    checksum       INTEGER
) WITHOUT ROWID;
CREATE TABLE baseline (
    sink     TEXT NOT NULL,
    serial   TEXT NOT NULL,
    offset   INTEGER NOT NULL,
    lifetime TEXT NOT NULL DEFAULT '{}',
    revision INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sink, serial)
) WITHOUT ROWID;
CREATE TABLE dead_letter (
    sink       TEXT NOT NULL,
    serial     TEXT NOT NULL,
    start_time TEXT NOT NULL,
    end_time   TEXT NOT NULL,
    why        TEXT NOT NULL,
    entries    TEXT NOT NULL,
    added      INTEGER NOT NULL DEFAULT 0,
    keys       TEXT NOT NULL DEFAULT '[]'
);
CREATE UNIQUE INDEX dead_letter_identity ON dead_letter (sink, serial, keys);
CREATE TABLE meter (
    serial TEXT NOT NULL,
    format TEXT NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY (serial, format)
) WITHOUT ROWID;
CREATE TABLE source_checkpoint (
    source TEXT PRIMARY KEY,
    state  TEXT NOT NULL
) WITHOUT ROWID;
"""

RENAMED = 5
"""The first version with the present names of the tables."""

ADVICE = "move it away, or name another file by `journal`"

UPGRADES = {
    1: """ALTER TABLE entry ADD COLUMN steady INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN boot INTEGER NOT NULL DEFAULT 0""",
    2: """ALTER TABLE aside ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
UPDATE aside SET added = strftime('%s', 'now')""",
    3: """ALTER TABLE entry ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE entry ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE base ADD COLUMN lifetime TEXT NOT NULL DEFAULT '{}';
ALTER TABLE cursor ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursor ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cursor ADD COLUMN settings TEXT NOT NULL DEFAULT '';
ALTER TABLE cursor ADD COLUMN accepted TEXT NOT NULL DEFAULT '';
UPDATE cursor SET seen = position;
CREATE TABLE meter (serial TEXT NOT NULL, format TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (serial, format))
    WITHOUT ROWID;
INSERT INTO meter SELECT serial, format, min(seq) FROM entry GROUP BY serial, format""",
    4: """ALTER TABLE entry RENAME COLUMN seq TO offset;
ALTER TABLE entry RENAME COLUMN whole TO packetless;
ALTER TABLE entry RENAME COLUMN steady TO monotonic;
ALTER TABLE cursor RENAME TO checkpoint;
ALTER TABLE checkpoint RENAME COLUMN position TO offset;
ALTER TABLE checkpoint RENAME COLUMN seen TO examined;
ALTER TABLE checkpoint RENAME COLUMN missed TO first_unwanted;
ALTER TABLE checkpoint ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE base RENAME TO baseline;
ALTER TABLE baseline RENAME COLUMN seq TO offset;
ALTER TABLE meter RENAME COLUMN seq TO offset;
ALTER TABLE aside RENAME TO dead_letter;
ALTER TABLE dead_letter ADD COLUMN keys TEXT NOT NULL DEFAULT '[]';
UPDATE dead_letter SET keys = coalesce(nullif((SELECT json_group_array(key) FROM (SELECT entry.key
    FROM json_each(dead_letter.entries) AS one JOIN entry ON entry.offset = one.value ORDER BY one.key)), '[]'),
    entries);
DELETE FROM dead_letter WHERE rowid NOT IN (SELECT min(rowid) FROM dead_letter GROUP BY sink, serial, keys);
CREATE UNIQUE INDEX dead_letter_identity ON dead_letter (sink, serial, keys)""",
    # The index of a UNIQUE column cannot be dropped, and a copy of a journal of gigabytes takes room and time: so this
    # gives that index a name and a statement of its own, and drops it then.
    5: """PRAGMA writable_schema = ON;
UPDATE sqlite_master SET sql = replace(sql, ' UNIQUE', '') WHERE type = 'table' AND name = 'entry';
UPDATE sqlite_master SET name = 'entry_key', sql = 'CREATE UNIQUE INDEX entry_key ON entry (key)'
    WHERE type = 'index' AND tbl_name = 'entry' AND sql IS NULL;
PRAGMA writable_schema = RESET;
DROP INDEX entry_key;
CREATE UNIQUE INDEX entry_identity ON entry (key, serial);
CREATE TABLE block (number INTEGER PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO block SELECT offset / 1000, count(*), sum(length(raw)) FROM entry GROUP BY 1""",
    6: "CREATE TABLE source_checkpoint (source TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
    7: "ALTER TABLE entry ADD COLUMN checksum INTEGER",
    8: """ALTER TABLE checkpoint ADD COLUMN checksum INTEGER;
ALTER TABLE baseline ADD COLUMN revision INTEGER NOT NULL DEFAULT 0""",
    9: """ALTER TABLE entry ADD COLUMN dictionary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN size INTEGER NOT NULL DEFAULT 0""",
    10: "",  # new entries have another checksum, and those that are there keep theirs
}
"""What makes a file of a version one of the next."""


def refuse_foreign(file: Path) -> None:
    """Raise Unavailable for a directory, and for the database of another program; nothing is changed in it.

    What is damaged, or of a newer version, is told when it is opened.
    """
    if file.is_dir():
        raise Unavailable(f"cannot open the journal {file}: it is a directory; {ADVICE}")
    with suppress(sqlite3.Error, UnicodeDecodeError):
        version, tables = _look_into(file)
        if version <= VERSION and tables and not _needed(version) <= tables:
            names = ", ".join(sorted(tables)[:3])
            what = f"it is the database of something else, with the tables {names}"
            raise Unavailable(f"cannot open the journal {file}: {what}; {ADVICE}")


def _needed(version: int) -> set[str]:
    """Return tables that a journal of this version has; of version 0, which no journal has, one that never is."""
    if version == 0:
        return {"sqlite_"}
    return {"entry", "checkpoint"} if version >= RENAMED else {"entry", "cursor"}


def _look_into(file: Path) -> tuple[int, set[str]]:
    """Return the version and the tables of a database, without a lock or a file beside it."""
    if not file.exists():
        return 0, set()
    address = f"file:{quote(str(file))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return version, {str(name) for (name,) in rows}


def is_newer(connection: sqlite3.Connection) -> int:
    """Return the version of a file that a later btcore has written; 0 for any other."""
    version = _version(connection)
    return version if version > VERSION else 0


def bring_up(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an earlier version up to this one. Call it within a transaction."""
    version = _version(connection)
    scripts = [UPGRADES[earlier] for earlier in range(version, VERSION)] if version else [TABLES]
    for statement in (one for script in scripts for one in script.split(";\n")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether a file has the tables of this version."""
    return _version(connection) == VERSION


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
