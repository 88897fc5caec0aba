# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the SQLite journal without its file, kept in the note beside it, and what is told of damage.

How the note is written is in `files/note.py`.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from btcore.classes import evolve
from btcore.journal import Damage
from btcore.sqlite_journal.files.note import path_of, read_note, write_note

INTERVAL = 300.0
"""Seconds between two notes of how far the journal has come."""


class Notebook:
    """The note of one journal. `note` is what it says now."""

    def __init__(self, file: Path) -> None:
        """Read it; nothing is changed."""
        self.note = read_note(file)
        self._file = file
        self._found: list[Damage] = []
        self._noted_at = -math.inf
        self._is_forgetting = False

    @property
    def is_due(self) -> bool:
        """Whether how far the journal has come should be noted again."""
        return time.monotonic() - self._noted_at >= INTERVAL

    def change(self, *, sync: bool = False, **changes: Any) -> None:  # noqa: ANN401 - fields of a note
        """Change the note, and write it. `sync`: what comes next needs it on the disk."""
        is_needed = sync or bool(self.note.unsaved)
        self.note = evolve(self.note, **changes)
        write_note(self._file, self.note, sync=is_needed)

    def note_progress(self, **changes: Any) -> None:  # noqa: ANN401 - fields of a note
        """Note how far the journal has come; it is written where it says something new."""
        self._noted_at = time.monotonic()
        if self._is_forgetting:
            changes["kept_after"] = None
        if evolve(self.note, **changes) != self.note or not path_of(self._file).exists():
            self.change(**changes)

    def expire(self) -> None:
        """Have how far the journal has come noted again at once."""
        self._noted_at = -math.inf

    @contextmanager
    def forgetting(self) -> Iterator[Callable[[], None]]:
        """Yield what is to be called before entries are forgotten: nobody knows then which are, until the next note."""
        try:
            yield self._begin_forgetting
        finally:
            if self._is_forgetting:
                self._is_forgetting = False
                self.expire()

    def _begin_forgetting(self) -> None:
        if not self._is_forgetting:
            self._is_forgetting = True
            self.change(kept_after=None, sync=True)

    def tell(self, text: str, lost: int | None = 0) -> None:
        """Tell damage, and how many readings are lost by it; None: nobody knows."""
        damage = Damage(datetime.now(UTC), text, lost)
        self._found.append(damage)
        self.change(damages=self.note.with_damage(damage).damages, sync=True)

    def take_found(self) -> Sequence[Damage]:
        """Return what was told since this was called last."""
        found, self._found = self._found, []
        return found
