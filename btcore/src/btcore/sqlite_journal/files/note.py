# SPDX-License-Identifier: GPL-3.0-or-later
"""What btcore knows of a SQLite journal without its file: a note beside it, for when the file is gone or damaged.

The journal works without the note; then less can be said of what is missing.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from btcore.classes import evolve, frozen, values_of
from btcore.journal import START, Damage, Offset
from btcore.sqlite_journal.files.durable import rename

MAX_BYTES = 1 << 16
"""Bytes of the largest note that is read."""

MAX_DAMAGES = 20
"""Damages that are remembered."""


@frozen
class Note:
    """What is noted of a journal.

    `newest` is an offset that it had, and `heard` when that came in, in seconds since 1970: it may have had more since.
    After `kept_after` nothing was forgotten up to it; None: nobody knows. `earlier` are the entries that are kept up to
    there, between what was forgotten or lost before.
    `is_open`: something was written to it, and it was not closed since, so that there must be a log beside it.
    `unsaved` are the names of files that were moved away, and of which not all was brought in yet.
    """

    newest: Offset = START
    heard: int = 0
    kept_after: Offset | None = None
    earlier: int = 0
    is_open: bool = False
    unsaved: tuple[str, ...] = ()
    damages: tuple[Damage, ...] = ()

    def with_damage(self, damage: Damage) -> "Note":
        """Return the note with one more damage."""
        return evolve(self, damages=(*self.damages, damage)[-MAX_DAMAGES:])


def path_of(file: Path) -> Path:
    """Return where the note of a journal is."""
    return Path(f"{file}-note")


def read_note(file: Path) -> Note:
    """Return the note of a journal; an empty one where there is none, or none that can be read."""
    try:
        with path_of(file).open("rb") as note:
            return _parse(json.loads(note.read(MAX_BYTES)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Note()


def write_note(file: Path, note: Note, *, sync: bool = False) -> None:
    """Write the note of a journal over the one before: it takes one block of the disk, and is often written.

    One that is half written is none. With `sync` the one before stays until the new one is on the disk, as long as
    the disk has room for both.
    """
    data = json.dumps(_as_json(note)).encode()
    path = path_of(file)
    if sync:
        with suppress(OSError):
            _write(new := path.with_name(f"{path.name}-new"), data, sync=True)
            rename(new, path)
            return
    with suppress(OSError):
        _write(path, data, sync=sync)


def _write(path: Path, data: bytes, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_json(note: Note) -> Mapping[str, Any]:
    damages = [{"time": one.time.timestamp(), "text": one.text, "lost": one.lost} for one in note.damages]
    return {**values_of(note), "damages": damages}


def _parse(found: Any) -> Note:  # noqa: ANN401 - of any shape
    return Note(
        int(found["newest"]),
        int(found["heard"]),
        None if found["kept_after"] is None else int(found["kept_after"]),
        int(found.get("earlier", 0)),
        bool(found["is_open"]),
        tuple(map(str, found["unsaved"])),
        tuple(_damage(one) for one in found["damages"])[-MAX_DAMAGES:],
    )


def _damage(found: Any) -> Damage:  # noqa: ANN401 - of any shape
    lost = found["lost"]
    return Damage(
        datetime.fromtimestamp(float(found["time"]), UTC), str(found["text"]), None if lost is None else int(lost)
    )
