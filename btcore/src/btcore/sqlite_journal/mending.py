# SPDX-License-Identifier: GPL-3.0-or-later
"""Mends the SQLite journal, at rest and under the running program, so that no damage stops the collecting of readings.

What its connections still have goes back to the disk. A file that is damaged is moved away, a new one is begun, and
what can be read of the old one is brought into it. Its tail stays where it is: file and tail together are the
truth, and what is in the tail goes into whatever file is opened beside it. What is in memory besides, the newest
entries and what was committed last, is used only for what both do not have. Meanwhile new readings are kept, and a sink
that needs what is not there yet waits. How damage is found is in `open_files.py` and `background_check.py`, how
records are found in `salvage.py`; docs/guarantees.md has what each damage costs.
"""

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from btcore.classes import frozen
from btcore.errors import Unavailable
from btcore.journal import Checkpoint, Damage, Entry, Offset
from btcore.sqlite_journal.at_rest import count_missing, describe_missing, find_fault_of
from btcore.sqlite_journal.files.moving import copy, free_name, is_checkpointed, move_away, use_copy
from btcore.sqlite_journal.files.note import path_of
from btcore.sqlite_journal.files.open_files import Fault, Finding, OpenFiles
from btcore.sqlite_journal.files.place import FILE_NAME
from btcore.sqlite_journal.files.tail import path_of as tail_of
from btcore.sqlite_journal.gathering import Gathering, is_full
from btcore.sqlite_journal.notebook import Notebook
from btcore.sqlite_journal.recovery import Recovery
from btcore.sqlite_journal.restoring import raise_sequence, restore
from btcore.sqlite_journal.suspicions import Suspicions
from btcore.sqlite_journal.tables.lag import kept
from btcore.sqlite_journal.tables.retention import Begin

log = logging.getLogger("btcore")

PATIENCE = 20.0
"""Seconds that the start waits for a salvage; what is not there by then is brought in while the program runs."""

SHARE = 0.5
"""Seconds of a salvage in one inspection; there is one a second."""

FREE_OFFSETS = 1_000_000_000
"""Offsets that are left free for entries of a damaged file whose newest nobody knows."""

MAX_RECENT = 1024
"""The newest entries, which are kept in memory too: they survive whatever happens to the file of a running program."""

RETRY = 5.0
"""Seconds between two attempts to mend what could not be mended, as on a full disk."""


@frozen
class Hooks:
    """What the mender needs of its journal. `hold` keeps all others away; the rest is called with it held.

    `writer` returns the connection that writes. `transaction` is for the time without.
    """

    hold: Callable[[], AbstractContextManager[object]]
    transaction: Begin
    gathering: Callable[[], Gathering]
    writer: Callable[[], sqlite3.Connection]
    open: Callable[[], None]
    close: Callable[[str], None]
    committed: Mapping[str, Checkpoint]
    sources: Mapping[str, str]
    meters: Callable[[], Sequence[tuple[str, str]]]
    newest: Callable[[], Offset]


class Mender:
    """Mends one journal. `prepare`, `opened`, `inspect` and `end` are for one thread, the rest for any.

    `suspicions` takes what is found by reading.
    """

    def __init__(self, file: Path, hooks: Hooks) -> None:
        """Read what is known of the journal; nothing is changed."""
        self._file = file
        self._hooks = hooks
        self._notebook = Notebook(file)
        self.forgetting = self._notebook.forgetting
        self._recovery = Recovery(file, self._notebook, hooks.transaction, self._reading, self._sync)
        self.raise_if_missing = self._recovery.raise_if_missing
        self._recent: deque[Entry] = deque(maxlen=MAX_RECENT)
        self.suspicions = Suspicions(file, was_left_open=self.was_left_open)
        self._files: OpenFiles | None = None
        self._next_try = 0.0

    # --- for all threads

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late."""
        return self._notebook.note.damages

    def kept(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that were appended, in their order. The journal's lock is held."""
        self._recent.extend(entries)
        self.suspicions.is_readable()

    def restamped(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that have other keys now. The journal's lock is held."""
        changed = {one.offset: one for one in entries}
        self._recent = deque((changed.get(one.offset, one) for one in self._recent), MAX_RECENT)

    # --- at rest

    @property
    def was_left_open(self) -> bool:
        """Whether the journal was not closed by who used it last."""
        return self._notebook.note.is_open

    @property
    def is_journal(self) -> bool:
        """Whether what is at this place was a journal, and no file of another kind that somebody named by mistake."""
        return self._file.name == FILE_NAME or path_of(self._file).exists()

    def fault_at_rest(self) -> str:
        """Return what is wrong with the files before they are opened; "" where nothing is seen."""
        return find_fault_of(self._file, self._notebook.note)

    def prepare(self) -> None:
        """Before the file is opened: finish what was begun, and move away what is damaged. Raises OSError."""
        use_copy(self._file)
        self._recovery.finish_moving()
        if self.is_journal and (fault := self.fault_at_rest()):
            self.move_away(fault)

    def move_away(self, fault: str) -> None:
        """Move the files away, so that new ones can be made in their place. Raises OSError."""
        log.error("%s", self._recovery.move_away(fault))

    def opened(self) -> None:
        """After the file was opened for the first time: bring in what was moved away, and see what is missing."""
        self._watch()
        known = max(self._notebook.note.newest, self._hooks.newest(), self._hooks.gathering().newest)
        if self._notebook.note.unsaved:
            if not self._recovery.is_new:  # a salvage was interrupted: what is new by now is far behind what was then
                known = self._notebook.note.newest
            self._notebook.change(newest=known)
            self._recovery.begin(known + FREE_OFFSETS)
            self._recovery.go_on_for(PATIENCE)
        else:
            self._tell_missing(known)
        with self._hooks.transaction() as connection:
            raise_sequence(connection, self._recovery.gap_until or known)
        if not self._notebook.note.unsaved:
            self._write_note(is_open=False)

    def _tell_missing(self, until: Offset) -> None:
        note, gathering = self._notebook.note, self._hooks.gathering()
        with self._reading() as writer:
            lost = count_missing(writer, note, self._hooks.newest(), until)
        if text := describe_missing(self._file, note, gathering, lost):
            self._notebook.tell(text, lost or None)

    # --- under the running program

    def inspect(self) -> Sequence[Damage]:
        """See whether all is well, and mend what is not."""
        if time.monotonic() >= self._next_try:
            try:
                self._look()
                self._tell_damaged()
                self._recovery.go_on_for(SHARE)
            except (Unavailable, OSError, sqlite3.Error) as error:
                self._next_try = time.monotonic() + RETRY
                log.debug("the journal cannot be mended now: %s", error)
        self.suspicions.look_in_background(is_open=self._files is not None)
        is_first = self._recent and not self.was_left_open
        if (self._notebook.is_due or is_first) and self._files is not None:
            with suppress(Unavailable, OSError, sqlite3.Error):  # what is damaged is seen with the next look
                self._write_note(is_open=bool(self._recent))
        return self._notebook.take_found()

    def end(self) -> None:
        """End, before the connections are closed."""
        self.suspicions.end()
        with suppress(Unavailable, OSError, sqlite3.Error):
            self._look()  # what was removed just now would be gone with the connections
            self._write_note(is_open=False)

    def closed(self) -> None:
        """Give up the files, when the connections are closed."""
        if self._files is not None:
            self._files.close()
            self._files = None

    def _look(self) -> None:
        with self._hooks.hold():
            if self._files is None:  # mending had failed
                self._reopen()
            finding = self.suspicions.take() or (self._files.find() if self._files else None)
            if finding is not None:
                self._mend(finding)
            if fault := self._hooks.gathering().find_fault():
                self._notebook.tell(
                    f"the journal {self._file}: its tail ({tail_of(self._file).name}) {fault} while btcore used it:"
                    " it was made again, and no reading is lost"
                )

    def _mend(self, finding: Finding) -> None:
        match finding.fault:
            case Fault.CHANGED:
                log.warning("the journal %s %s: all of it is checked now", self._file, finding.text)
                self.suspicions.check_soon()
            case Fault.GONE | Fault.FOREIGN | Fault.LOG_GONE:
                try:
                    self._write_back(finding)
                except sqlite3.DatabaseError as error:
                    if is_full(error):
                        raise
                    self._begin_anew(f"{finding.text}, and what was open of it cannot be read ({error})")
            case Fault.BROKEN:
                self._begin_anew(finding.text)

    def _write_back(self, finding: Finding) -> None:
        """Bring what the connections have back to the disk: nothing is lost."""
        self._hooks.gathering().settle()
        writer = self._hooks.writer()
        if finding.fault is Fault.LOG_GONE and is_checkpointed(writer):
            self._hooks.close("its log is made again")
            self.closed()
        else:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copy(writer, self._file)
            self._hooks.close("it is written back")
            self.closed()
            if finding.fault is Fault.GONE and self._file.exists():
                move_away(self._file, free_name(self._file))
            use_copy(self._file)
        self._reopen()
        self._notebook.tell(
            f"the journal {self._file} {finding.text} while btcore used it: it was made again, and has all its readings"
        )

    def _begin_anew(self, fault: str) -> None:
        """Move the files away and begin new ones, with what is in memory; what else can be read comes later."""
        self._hooks.gathering().settle()
        newest = self._newest()
        self._notebook.change(newest=newest)
        self._recovery.gap_until = newest if not self._recent else min(one.offset for one in self._recent) - 1
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.move_away(fault)
        self._hooks.close("it was damaged, and is begun anew")
        self.closed()
        self._reopen()

    def _reopen(self) -> None:
        """Open the files again; what they lack of what is in memory is written, the rest comes from what was moved."""
        hooks = self._hooks
        hooks.open()
        try:
            restore(hooks.writer(), self._newest(), hooks.committed, hooks.sources, hooks.meters(), self._recent)
            hooks.gathering().commit()
            self._begin_tail()
            self._watch()
        except BaseException:
            hooks.close("what is in memory could not be written")
            raise
        if self._notebook.note.unsaved:
            self._recovery.begin(self._newest())

    def _begin_tail(self) -> None:
        with suppress(OSError):  # without room for it, it is begun later
            self._hooks.gathering().prepare()

    def _newest(self) -> Offset:
        return max([self._hooks.newest(), *(one.offset for one in list(self._recent)[-1:])])

    def _watch(self) -> None:
        self.closed()
        self._files = OpenFiles(self._file)

    def _tell_damaged(self) -> None:
        if not self.suspicions.damaged:  # nearly always, once a second
            return
        in_memory = {one.offset: one for one in list(self._recent)}
        for text, lost in self.suspicions.settle_damaged(self._hooks.transaction, in_memory):
            self._notebook.tell(text, lost)

    def _write_note(self, *, is_open: bool) -> None:
        note = self._notebook.note
        heard = self._recent[-1].key // 1_000_000 if self._recent else note.heard
        with self._hooks.hold():
            if is_open:
                self._begin_tail()
            after, earlier = (note.kept_after, note.earlier) if note.unsaved else kept(self._hooks.writer())
            newest = note.newest if note.unsaved else self._newest()
        self._notebook.note_progress(newest=newest, heard=heard, kept_after=after, earlier=earlier, is_open=is_open)

    def _sync(self) -> None:
        with self._hooks.hold():
            self._hooks.gathering().commit()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Read with the connection that writes, which sees all; nobody else uses it meanwhile."""
        with self._hooks.hold():
            yield self._hooks.writer()
