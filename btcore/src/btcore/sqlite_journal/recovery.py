# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the SQLite journal that were moved away: what can be read of them is brought in, a little at a time.

Meanwhile `raise_if_missing` keeps sinks from passing over what is still to come. How records are found is in
`salvage.py`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from btcore.errors import Unavailable
from btcore.journal import START, Offset
from btcore.sqlite_journal.files.moving import finish_moving, free_name, is_moved, move_away, remove_oldest
from btcore.sqlite_journal.notebook import Notebook
from btcore.sqlite_journal.restoring import missing
from btcore.sqlite_journal.tables.lag import kept
from btcore.sqlite_journal.tables.retention import Begin
from btcore.text import either, plural

if TYPE_CHECKING:
    from btcore.sqlite_journal.salvage import Salvage

YIELD = 0.005
"""Seconds between two portions, in which others may write."""


class Recovery:
    """What was moved away of one journal. `gap_until`: entries up to this offset may still come."""

    def __init__(
        self, file: Path, notebook: Notebook, transaction: Begin, reading: Begin, sync: Callable[[], None]
    ) -> None:
        """Prepare; `transaction` writes to the journal, `reading` reads from it, `sync` brings all to the disk."""
        self.gap_until: Offset = START
        self._file = file
        self._notebook = notebook
        self._transaction = transaction
        self._reading = reading
        self._sync = sync
        self._salvage: Salvage | None = None
        self._fault = ""

    @property
    def is_under_way(self) -> bool:
        """Whether more may come."""
        return self._salvage is not None

    @property
    def is_new(self) -> bool:
        """Whether files were moved away since the start, and nothing was told of them yet."""
        return bool(self._fault)

    def raise_if_missing(self, after: Offset) -> None:
        """Raise Unavailable where entries after an offset may still be brought in."""
        if max(after, START) < self.gap_until:
            raise Unavailable(f"the journal {self._file} was damaged, and what can be read of it is still brought back")

    def move_away(self, fault: str) -> str:
        """Move the files away, so that new ones can be made in their place; return what to say. Raises OSError."""
        moved = free_name(self._file)
        self._fault = f"the journal {self._file} {fault}"
        self._notebook.change(unsaved=(*self._moved(), moved.name), sync=True)
        move_away(self._file, moved)
        where = f"moved to {moved.name}; " if moved.exists() else ""
        return f"{self._fault}: {where}a new one is begun, and what can be read of the old one is saved"

    def finish_moving(self) -> None:
        """Finish moving away what an earlier run has begun to. Raises OSError."""
        for name in self._notebook.note.unsaved[-1:]:
            finish_moving(self._file, self._file.with_name(name))
        if self._moved() != self._notebook.note.unsaved:
            self._notebook.change(unsaved=self._moved())

    def _moved(self) -> tuple[str, ...]:
        """Return the names that the note has of what is there: where renaming failed, there is nothing."""
        return tuple(name for name in self._notebook.note.unsaved if is_moved(self._file.with_name(name)))

    def begin(self, until: Offset) -> None:
        """Begin, unless it is under way; entries of what was moved away have offsets up to `until` at most."""
        if self._salvage is None:
            from btcore.sqlite_journal.salvage import Salvage  # noqa: PLC0415 - of a file that was damaged

            self._salvage = Salvage(self._file.with_name(self._notebook.note.unsaved[0]), until)
            self.gap_until = self.gap_until or until

    def go_on_for(self, seconds: float) -> None:
        """Bring in some more."""
        end = time.monotonic() + seconds
        while self._salvage is not None and time.monotonic() < end:
            self._go_on(self._salvage)
            time.sleep(YIELD)

    def _go_on(self, salvage: "Salvage") -> None:
        try:
            salvage.portion(self._transaction)
        except PermissionError as error:
            self._give_up(salvage, error)
            return
        if salvage.is_done:
            self._finish(salvage)

    def _give_up(self, salvage: "Salvage", error: OSError) -> None:
        """Leave what may not be read where it is: the next start tries again."""
        self._salvage, self.gap_until = None, START
        advice = f"give {salvage.file} to btcore's user (chown) and start btcore again: then it is brought in"
        self._tell(f"{self._fault or 'what was moved away of the journal'}: {error.strerror}; {advice}", None)

    def _finish(self, salvage: "Salvage") -> None:
        note = self._notebook.note
        newest = max(salvage.newest, note.newest if note.newest <= salvage.until else START)
        rest = note.unsaved[1:]
        with self._reading() as connection:
            lost, undelivered = (None, 0) if rest else missing(connection, note, newest)
        self._sync()  # before the note says that nobody needs what was moved away
        what = self._fault or f"the journal {self._file} was damaged"
        gone = f"what was moved to {rest[0]} comes next" if rest else _describe_lost(lost, undelivered)
        self._tell(f"{what}: {_describe(salvage, gone)}", lost)
        after, earlier = (note.kept_after, note.earlier) if rest else self._kept()
        self._notebook.change(newest=newest, unsaved=rest, kept_after=after, earlier=earlier)
        self._notebook.expire()
        self._salvage = None
        self.gap_until = self.gap_until if rest else START
        if rest:
            self.begin(salvage.until)
        remove_oldest(self._file, rest)

    def _kept(self) -> tuple[Offset, int]:
        """Return after which offset nothing is missing, and how many are kept before it: what is missing was told."""
        with self._reading() as connection:
            return kept(connection)

    def _tell(self, text: str, lost: int | None) -> None:
        self._notebook.tell(text, lost)
        self._fault = ""


def _describe(salvage: "Salvage", gone: str) -> str:
    kept = f"; the old file is {salvage.file.name}: delete it when you do not need it" if salvage.file.exists() else ""
    return f"{plural(salvage.saved, 'reading')} of it brought into a new one, {gone}{kept}"


def _describe_lost(lost: int | None, undelivered: int) -> str:
    if lost is None:
        return "how many are lost is not known"
    if not lost:
        return "none is lost"
    sinks = (
        f"{undelivered} of which no sink, or not all, had had" if undelivered else "none of which a sink had not had"
    )
    return f"{either(lost, 'is', 'are')} lost, {sinks}"
