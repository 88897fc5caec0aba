# SPDX-License-Identifier: GPL-3.0-or-later
"""What the records of the journal's tail say, and doing it again: for what the journal's file does not have yet.

A record is a line of JSON and, of entries, their packets behind it. To do one again that the file has already changes
nothing: an offset is given once, and a revision only rises. So it does not matter which file they are brought into: the
one that they were written beside, an older copy, or a new one in place of one that was damaged.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from btcore.journal import Baseline, Checkpoint, Entry
from btcore.sqlite_journal.tables.compression import Dictionaries
from btcore.sqlite_journal.tables.entries import MANY, insert_again
from btcore.sqlite_journal.tables.lag import count_in_blocks
from btcore.sqlite_journal.tables.sinks import REVISION, Written, keep_checkpoint, seal

NEW_METER = "INSERT OR IGNORE INTO meter VALUES (?, ?, ?)"

BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
)
"""What `replay` raises for a record that says nothing that is known."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Made once: `json.dumps` makes an encoder for each record."""

SOURCE_STATE = "SELECT state FROM source_checkpoint WHERE source = ?"

KEEP_SOURCE = "REPLACE INTO source_checkpoint VALUES (?, ?)"


def encode_entries(entries: Sequence[Entry], added: int) -> bytes:
    """Return the record of entries that have their offsets."""
    rows = ",".join(map(_row, entries))
    return encode_rows(rows, [entry.raw for entry in entries], added)


def encode_rows(rows: str, raws: Sequence[bytes], added: int) -> bytes:
    """Return the record of entries that are JSON already, with commas between them, and of their packets."""
    line = f'{{"entries":[{rows}],"added":{added}}}\n'
    return line.encode("utf-8", "surrogatepass") + b"".join(raws)


def _row(it: Entry) -> str:
    """Return an entry as JSON: by hand, as a meter's next one differs by its numbers alone, and takes half as long."""
    meter, way, _ = texts_of(it.source, it.serial, it.format, it.packetless, it.address, it.origin)
    return f"[{it.offset},{len(it.raw)},{it.key},{meter},{it.monotonic},{it.boot},{way}]"


@lru_cache(maxsize=2048)
def texts_of(*same: object) -> tuple[str, str, bool]:
    """Return what is the same for all packets of a meter: as JSON without its brackets, and whether SQLite takes it.

    It takes texts that have a form in UTF-8; the fourth is whether there is no packet.
    """
    texts = (*same[:3], *same[4:])
    return _encode(same[:4])[1:-1], _encode(same[4:])[1:-1], isinstance(same[3], bool) and all(map(_is_text, texts))


def _is_text(text: object) -> bool:
    try:
        return isinstance(text, str) and text.encode() is not None
    except UnicodeEncodeError:
        return False


def encode_checkpoint(sink: str, written: Written) -> bytes:
    """Return the record of a sink's checkpoint, with the baselines that changed."""
    kept = written.kept
    marks = (kept.offset, kept.examined, kept.first_unwanted, kept.settings, kept.accepted, kept.revision)
    baselines = [(key, one.offset, dict(one.lifetime)) for key, one in written.changed.items()]
    return _line(sink=sink, marks=marks, baselines=baselines, checksum=written.checksum)


def encode_source(source: str, state: str, before: str) -> bytes:
    """Return the record of a source's checkpoint, and of the one before it."""
    return _line(source=source, state=state, before=before)


def replay(
    connection: sqlite3.Connection,
    record: bytes,
    dictionaries: Dictionaries,
    *,
    entries: bool = True,
    sources: bool = True,
) -> int:
    """Do again what a record says, unless the file has it; return how many entries were missing in it.

    Without `entries`, those of a record are passed over; without `sources`, how far a source has come: for where
    records are missing, so that the source reads again what was in them.
    """
    line, _, rest = record.partition(b"\n")
    found = json.loads(line)
    if "entries" in found:
        return _replay_entries(connection, found, rest, dictionaries) if entries else 0
    if "sink" in found:
        _replay_checkpoint(connection, found["sink"], found)
    elif sources:
        row = connection.execute(SOURCE_STATE, (found["source"],)).fetchone()
        if row is None or found.get("before", row[0]) == row[0]:  # else the file has it, or a newer one
            connection.execute(KEEP_SOURCE, (found["source"], found["state"]))
    return 0


def _replay_checkpoint(connection: sqlite3.Connection, sink: str, found: Mapping[str, Any]) -> None:
    offset, examined, first_unwanted, settings, accepted, revision = found["marks"]
    kept = Checkpoint(offset, {}, examined, first_unwanted, settings, accepted, revision)
    row = connection.execute(REVISION, (sink,)).fetchone()
    if row is None or row[0] == revision - 1:  # a record has the baselines that changed, and needs those before it
        keep_checkpoint(connection, sink, kept, {key: Baseline(*one) for key, *one in found["baselines"]})
        checksum = found.get("checksum")
        if (
            row is None or checksum is not None
        ):  # in a new file, baselines before it are still to be found, and to agree
            seal(connection, sink, checksum)


def _replay_entries(
    connection: sqlite3.Connection, found: Mapping[str, list[list[object]]], raws: bytes, dictionaries: Dictionaries
) -> int:
    at, all_of_them = 0, []
    for offset, size, key, source, serial, form, packetless, *more in found["entries"]:
        raw, at = raws[at : at + size], at + size  # type: ignore[operator]
        all_of_them.append(Entry(key, source, serial, form, raw, packetless, offset, *more))  # type: ignore[arg-type]
    of_few = dictionaries if len(all_of_them) < MANY else None  # as they were inserted first: they need no more room
    missing = [entry for entry in all_of_them if insert_again(connection, entry, found["added"], of_few)]  # type: ignore[arg-type]
    for entry in missing:
        connection.execute(NEW_METER, (entry.serial, entry.format, entry.offset))
    count_in_blocks(connection, ((entry.offset, len(entry.raw)) for entry in missing))
    return len(missing)


def _line(**record: object) -> bytes:
    return _encode(record).encode("utf-8", "surrogatepass") + b"\n"
