# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in the tables of the SQLite journal: how they are written, and how they are read.

A reading is identified by its meter and its key. Which key it has is its writer's choice (`keys.py`).
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from btcore.classes import evolve
from btcore.journal import Appended, Entry, Offset
from btcore.sqlite_journal.tables.checksum import KNOWN_DAMAGED, checksum_of, damage, is_damaged
from btcore.sqlite_journal.tables.compression import Dictionaries, Stored, unpacked
from btcore.sqlite_journal.tables.lag import SIZE, count_in_blocks

PACKET = """raw, dictionary, size,
    CASE WHEN dictionary THEN (SELECT other.raw FROM entry AS other WHERE other.offset = entry.dictionary) END"""
"""How a packet is stored, and the packet that is its dictionary."""

SELECT = f"""SELECT {PACKET}, checksum, key, source, serial, format, packetless,
    offset, monotonic, boot, address, origin FROM entry"""  # noqa: S608 - columns of ours

SIZES = f"SELECT offset, key, {SIZE} FROM entry WHERE offset > ? ORDER BY offset LIMIT ?"  # noqa: S608 - a column of ours

INSERT = """INSERT INTO entry
    (offset, key, added, source, serial, format, packetless, raw, monotonic, boot, address, origin, checksum,
    dictionary, size)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

INSERT_AGAIN = INSERT.replace("INSERT", "INSERT OR IGNORE", 1)

ANY_KEY = "SELECT EXISTS (SELECT 1 FROM json_each(?) AS one JOIN entry ON entry.key = one.value)"
"""Whether any of a list of keys is there, whichever meter has it."""

MANY = 8
"""Entries from which on it pays to look for all of their keys at once."""

NEWEST_KEY = "SELECT coalesce(max(key), 0) FROM entry"

NEWEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'"
"""The newest offset that was ever given: its entry may be forgotten."""

RECENT = "offset IN (SELECT offset FROM entry WHERE offset <= ? ORDER BY offset DESC LIMIT ?) ORDER BY offset"

KEY_TAKEN = """SELECT 1 FROM entry WHERE key = ? AND offset != ?
    AND serial = (SELECT serial FROM entry WHERE offset = ?)"""

RESTAMP = "UPDATE entry SET key = ?, boot = ?, added = ?, checksum = ? WHERE offset = ?"

WRITE_AGAIN = """UPDATE entry SET key = ?, added = ?, source = ?, serial = ?, format = ?, packetless = ?, raw = ?,
    monotonic = ?, boot = ?, address = ?, origin = ?, checksum = ?, dictionary = ?, size = ? WHERE offset = ?"""

MARK = "UPDATE entry SET checksum = ? WHERE offset = ? AND checksum IS NOT ?"

OFFSET_TAKEN = "UNIQUE constraint failed: entry.offset"

NO_TEXT = "Could not decode to UTF-8"
"""How the error begins that Python raises for a damaged text."""

WITH_KEY = f"SELECT {PACKET}, serial, packetless FROM entry WHERE key = ?"  # noqa: S608 - columns of ours


def insert(
    connection: sqlite3.Connection,
    entries: Sequence[Entry],
    added: int,
    dictionaries: Dictionaries,
    newest: Offset,
    newest_key: int | None = None,
) -> Appended:
    """Insert entries up to the first whose key is taken. Call it within the transaction that the dictionaries are of.

    `newest` is the newest offset that was ever given.
    Where it is known that no entry has a key above `newest_key`, which nearly all new ones have, nobody looks for it.
    """
    are_newest = _are_newest(entries, newest_key)
    if len(entries) >= MANY and (are_newest or _are_new(connection, entries)):
        kept = _insert_all(connection, entries, added, newest)
        dictionaries.inserted_without(kept)
        count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
        return Appended(kept)
    return _insert_in_turn(connection, entries, added, dictionaries, newest)


def _write_new(connection: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert rows at offsets that nobody was given yet: where one is there already, that is damage."""
    try:
        connection.executemany(INSERT, rows)
    except sqlite3.IntegrityError as error:
        if str(error) != OFFSET_TAKEN:
            raise
        raise damage("an entry has an offset that was not given yet") from error


def insert_at_offsets(
    connection: sqlite3.Connection, entries: Iterable[tuple[Entry, int, bool]], dictionaries: Dictionaries
) -> None:
    """Insert entries at the offsets that they have, each with when it came, and whether it is stored as it came.

    Nobody else has given these offsets, nor are their keys taken. Call it within the transaction of the dictionaries.
    """
    rows: list[tuple[object, ...]] = []
    as_they_came: list[Entry] = []
    for entry, added, is_as_it_came in entries:
        if is_as_it_came:
            rows.append(_values(entry.offset, entry, added, entry.raw))
            as_they_came.append(entry)
        else:

            def insert_as(stored: Stored, entry: Entry = entry, added: int = added) -> bool:
                rows.append(_values(entry.offset, entry, added, *stored))
                return True

            dictionaries.insert(entry, entry.offset, insert_as)
    dictionaries.inserted_without(as_they_came)
    _write_new(connection, rows)


def _are_newest(entries: Sequence[Entry], newest_key: int | None) -> bool:
    """Whether the entries have keys of their own, all of them above those of the journal: nobody is asked then."""
    if newest_key is None or not entries:
        return False
    keys = {entry.key for entry in entries}
    return len(keys) == len(entries) and min(keys) > newest_key


def _are_new(connection: sqlite3.Connection, entries: Sequence[Entry]) -> bool:
    """Whether none of the entries has the key of another one, or one that is in the journal: nearly always so."""
    keys = {entry.key for entry in entries}
    found = connection.execute(ANY_KEY, (json.dumps(list(keys)),)).fetchone()[0]
    return len(keys) == len(entries) and not found


def _insert_all(connection: sqlite3.Connection, entries: Sequence[Entry], added: int, newest: Offset) -> list[Entry]:
    """Insert entries that are new. Looking for each, and inserting one by one, takes 15 µs an entry; this takes 10."""
    kept = [with_offset(entry, offset) for offset, entry in enumerate(entries, newest + 1)]
    _write_new(connection, [_values(entry.offset, entry, added, entry.raw) for entry in kept])
    return kept


def _insert_in_turn(
    connection: sqlite3.Connection, entries: Sequence[Entry], added: int, dictionaries: Dictionaries, newest: Offset
) -> Appended:
    kept: list[Entry] = []
    rest: list[Entry] = []
    for entry in entries:
        found = [] if rest else _with_key(connection, entry)
        is_known = any(same for _, same in found)
        if rest or (not is_known and entry.serial in (serial for serial, _ in found)):
            rest.append(entry)
        elif not is_known:
            kept.append(with_offset(entry, newest + len(kept) + 1))
            insert_at_offsets(connection, [(kept[-1], added, dictionaries.too_many_of(1) > 0)], dictionaries)
    count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in kept))
    return Appended(kept, rest)


def _with_key(connection: sqlite3.Connection, entry: Entry) -> list[tuple[str, bool]]:
    """Return the meters that have an entry's key, and whether by the same reading: a packet names its meter."""
    return [
        (serial, unpacked(Stored(*stored), dictionary) == entry.raw and (not packetless or serial == entry.serial))
        for *stored, dictionary, serial, packetless in connection.execute(WITH_KEY, (entry.key,)).fetchall()
    ]


def insert_again(
    connection: sqlite3.Connection, entry: Entry, added: int, dictionaries: Dictionaries | None = None
) -> bool:
    """Insert an entry at its offset, unless it is there; return whether it was not."""

    def insert_as(stored: Stored) -> bool:
        return connection.execute(INSERT_AGAIN, _values(entry.offset, entry, added, *stored)).rowcount > 0

    if dictionaries is None:
        return insert_as(Stored(entry.raw))
    return dictionaries.insert(entry, entry.offset, insert_as)


def _values(
    offset: Offset, it: Entry, added: int, raw: bytes, dictionary: Offset = 0, size: int = 0
) -> tuple[object, ...]:
    """Return the values of `INSERT`; the last three are those of `Stored`.

    Of a `bool` or `bytes`, `sqlite3` asks how it is adapted, 0.5 µs each; not so of an `int` or `bytearray`.
    """
    return (
        offset,
        it.key,
        added,
        it.source,
        it.serial,
        it.format,
        int(it.packetless),
        bytearray(raw),
        it.monotonic,
        it.boot,
        it.address,
        it.origin,
        checksum_of(it, offset),
        dictionary,
        size,
    )


def with_offset(it: Entry, offset: Offset) -> Entry:
    """Return an entry with its offset; `evolve` takes three times as long."""
    key, source, serial, form, raw = it.key, it.source, it.serial, it.format, it.raw
    return Entry(key, source, serial, form, raw, it.packetless, offset, it.monotonic, it.boot, it.address, it.origin)


def select(connection: sqlite3.Connection, where: str, values: Sequence[object], damaged: set[Offset]) -> list[Entry]:
    """Return the entries of a condition, which may order and limit them.

    Those that are not as they were written are left out; the offsets of those that nobody was told of go to `damaged`.
    """
    try:
        return _select(connection, where, values, damaged)
    except sqlite3.OperationalError as error:
        if not str(error).startswith(NO_TEXT):
            raise
    connection.text_factory = _any_text  # not always, as it takes a tenth of the time that a reading takes
    try:
        return _select(connection, where, values, damaged)
    finally:
        connection.text_factory = str


def _any_text(text: bytes) -> str:
    """Return a text that may be damaged: where it is, no checksum agrees with it."""
    return text.decode("utf-8", "surrogateescape")


def _select(connection: sqlite3.Connection, where: str, values: Sequence[object], damaged: set[Offset]) -> list[Entry]:
    found = []
    rows = connection.execute(f"{SELECT} WHERE {where}", values)
    texts: dict[str, str] = {}
    same = texts.setdefault  # SQLite makes each text anew: 256 bytes for an entry, of which 1024 are kept
    for raw, dictionary, size, known, checksum, key, source, serial, form, packetless, *others in rows:
        packet = unpacked(Stored(raw, dictionary, size), known) if dictionary else raw
        others[-2] = same(others[-2], others[-2])  # the address
        texts_of = same(source, source), same(serial, serial), same(form, form)
        entry = Entry(key, *texts_of, packet or b"", bool(packetless), *others)
        if packet is not None and not is_damaged(entry, checksum):
            found.append(entry)
        elif checksum != KNOWN_DAMAGED:
            damaged.add(entry.offset)
    return found


def write_again(connection: sqlite3.Connection, entries: Iterable[Entry], added: int) -> None:
    """Write entries that are damaged as they were, at their offsets. Call it within a transaction.

    A connection that has them undamaged in its cache writes nothing that is equal to that: so they are changed first.
    """
    undamaged = list(entries)
    mark_damaged(connection, (entry.offset for entry in undamaged))
    rows = ((*_values(entry.offset, entry, added, entry.raw)[1:], entry.offset) for entry in undamaged)
    connection.executemany(WRITE_AGAIN, rows)


def mark_damaged(connection: sqlite3.Connection, offsets: Iterable[Offset]) -> int:
    """Mark entries as damaged, so that they are told once; return how many. Call it within a transaction."""
    marks = [(KNOWN_DAMAGED, offset, KNOWN_DAMAGED) for offset in offsets]
    return connection.executemany(MARK, marks).rowcount if marks else 0


def restamp(connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Give entries these keys and boots, by their offsets; a key that is taken is raised. Return them as they are now.

    What is damaged stays as it is: a new checksum would make it seem whole.
    """
    return [_restamp_one(connection, entry, one) for one in entries for entry in _at_offset(connection, one.offset)]


def _at_offset(connection: sqlite3.Connection, offset: Offset) -> list[Entry]:
    return select(connection, "offset = ?", (offset,), set())


def _restamp_one(connection: sqlite3.Connection, entry: Entry, wanted: Entry) -> Entry:
    key = wanted.key
    while connection.execute(KEY_TAKEN, (key, entry.offset, entry.offset)).fetchone():
        key += 1
    done = evolve(entry, key=key, boot=wanted.boot)
    connection.execute(RESTAMP, (key, done.boot, key // 1_000_000, checksum_of(done, done.offset), done.offset))
    return done
