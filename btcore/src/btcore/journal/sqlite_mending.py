# SPDX-License-Identifier: GPL-3.0-or-later
"""Mends the SQLite journal, at rest and under the running program, so that no damage stops the collecting of readings.

What its connections still have goes back to the disk. A file that is damaged is moved away, a new one is begun, and
what can be read of the old one is brought into it. Its tail stays where it is: file and tail together are the
truth, and what is in the tail goes into whatever file is opened beside it. What is in memory besides, the newest
entries and what was committed last, is used only for what both do not have. Meanwhile new readings are kept, and a sink
that needs what is not there yet waits. How damage is found is in `sqlite_files.py` and `sqlite_check_thread.py`, how
records are found in `sqlite_salvage.py`; docs/guarantees.md has what each damage costs.
"""

import glob
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from btcore.errors import Unavailable
from btcore.journal import START, Checkpoint, Damage, Entry, Offset
from btcore.journal.sqlite_check_thread import BackgroundCheck
from btcore.journal.sqlite_entries import mark_damaged
from btcore.journal.sqlite_file import FILE_NAME, make_private
from btcore.journal.sqlite_files import Fault, Finding, OpenFiles, is_ours
from btcore.journal.sqlite_gathering import Gathering
from btcore.journal.sqlite_lag import kept_after
from btcore.journal.sqlite_note import path_of, read_note, write_note
from btcore.journal.sqlite_restoring import missing, raise_sequence, restore
from btcore.journal.sqlite_retention import Begin
from btcore.journal.sqlite_salvage import Salvage
from btcore.journal.sqlite_space import RESERVE_NAME
from btcore.journal.sqlite_tail import path_of as tail_of
from btcore.journal.sqlite_wal import find_fault
from btcore.text import either, plural

log = logging.getLogger("btcore")

NOTE_INTERVAL = 60.0
"""Seconds between two notes of how far the journal has come."""

CHECK_DELAY = 10.0
"""Seconds after the start until a file that was not closed is read in the background."""

CHECK_INTERVAL = 86_400.0
"""Seconds between two readings of the whole file in the background."""

PATIENCE = 20.0
"""Seconds that the start waits for a salvage; what is not there by then is brought in while the program runs."""

SHARE = 0.5
"""Seconds of a salvage in one inspection; there is one a second."""

YIELD = 0.005
"""Seconds between two portions, in which others may write."""

FREE_OFFSETS = 1_000_000_000
"""Offsets that are left free for entries of a damaged file whose newest nobody knows."""

MAX_RECENT = 1024
"""The newest entries, which are kept in memory too: they survive whatever happens to the file of a running program."""

MAX_IO_ERRORS = 10
"""Failures to read the file, one after the other, after which it counts as damaged."""

MAX_MOVED = 5
"""Damaged files that are kept, beside those of which not all was brought in."""

RETRY = 5.0
"""Seconds between two attempts to mend what could not be mended, as on a full disk."""


@attrs.frozen
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

    `damaged` takes the offsets of entries that are not as they were written.
    """

    def __init__(self, file: Path, hooks: Hooks) -> None:
        """Read what is known of the journal; nothing is changed."""
        self.damaged: set[Offset] = set()
        self._file = file
        self._hooks = hooks
        self._note = read_note(file)
        self._recent: deque[Entry] = deque(maxlen=MAX_RECENT)
        self._found: list[Damage] = []
        self._suspicion = ""
        self._io_errors = 0
        self._files: OpenFiles | None = None
        self._salvage: Salvage | None = None
        self._until: Offset = START
        self._gap_until: Offset = START
        self._fault = ""
        self._check: BackgroundCheck | None = None
        self._check_at = time.monotonic() + (CHECK_DELAY if self._note.is_open else CHECK_INTERVAL)
        self._noted_at = -NOTE_INTERVAL
        self._is_forgetting = False
        self._next_try = 0.0

    # --- for all threads

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found of late."""
        return self._note.damages

    def kept(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that were appended, in their order. The journal's lock is held."""
        self._recent.extend(entries)
        self._io_errors = 0

    def restamped(self, entries: Sequence[Entry]) -> None:
        """Take note of entries that have other keys now. The journal's lock is held."""
        changed = {one.offset: one for one in entries}
        self._recent = deque((changed.get(one.offset, one) for one in self._recent), MAX_RECENT)

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Take note that entries are forgotten: until the next note, nobody knows which."""
        self._is_forgetting = True
        try:
            self._note = attrs.evolve(self._note, kept_after=None)
            write_note(self._file, self._note)
            yield
        finally:
            self._is_forgetting = False
            self._noted_at = -NOTE_INTERVAL

    def suspect(self, text: str, *, is_io: bool = False) -> None:
        """Take note that SQLite has found damage, or cannot read the disk."""
        self._io_errors += is_io
        if not is_io or self._io_errors >= MAX_IO_ERRORS:
            self._suspicion = self._suspicion or text

    def raise_if_missing(self, after: Offset) -> None:
        """Raise Unavailable where entries after an offset may still be brought in."""
        if max(after, START) < self._gap_until:
            raise Unavailable(f"the journal {self._file} was damaged, and what can be read of it is still brought back")

    # --- at rest

    @property
    def was_left_open(self) -> bool:
        """Whether the journal was not closed by who used it last."""
        return self._note.is_open

    @property
    def is_journal(self) -> bool:
        """Whether what is at this place was a journal, and no file of another kind that somebody named by mistake."""
        return self._file.name == FILE_NAME or path_of(self._file).exists()

    def fault_at_rest(self) -> str:
        """Return what is wrong with the files before they are opened; "" where nothing is seen."""
        wal = Path(f"{self._file}-wal")
        if self._file.exists() and not is_ours(self._file):
            with suppress(OSError):
                self._file.chmod(0o600)
            if not is_ours(self._file):
                return f"belongs to another user ({self._file.owner()}), and may not be read and written"
        has_log = wal.exists() and wal.stat().st_size > 0
        if not self._file.exists():
            others = tail_of(self._file), self._file.with_name(RESERVE_NAME)
            was_there = has_log or self._note.newest or any(other.exists() for other in others)
            return "was removed" if was_there else ""
        if not self._file.stat().st_size:
            return "is empty" if has_log or self._note.newest else ""
        fault = find_fault(wal) if has_log else ""
        return f"is damaged: its log ({wal.name}) was changed: {fault}" if fault else ""

    def prepare(self) -> None:
        """Before the file is opened: finish what was begun, and move away what is damaged. Raises OSError."""
        copy = _copy_of(self._file)
        if copy.exists() and not self._file.exists():
            copy.replace(self._file)
        copy.unlink(missing_ok=True)
        if self.is_journal and (fault := self.fault_at_rest()):
            self.move_away(fault)

    def move_away(self, fault: str) -> None:
        """Move the files away, so that a new one can be made in their place. Raises OSError."""
        moved = _move_away(self._file)
        self._fault = f"the journal {self._file} {fault}"
        where = f"moved to {moved.name}; " if moved.exists() else ""
        log.error("%s: %sa new one is begun, and what can be read of the old one is saved", self._fault, where)
        self._note = attrs.evolve(self._note, unsaved=(*self._note.unsaved, moved.name))
        write_note(self._file, self._note)

    def opened(self) -> None:
        """After the file was opened for the first time: bring in what was moved away, and see what is missing."""
        self._watch()
        newest = self._hooks.newest()
        if self._note.unsaved:
            known = max(self._note.newest, newest, self._hooks.gathering().newest)
            self._note = attrs.evolve(self._note, newest=known)
            self._until = max(newest, self._note.newest) + FREE_OFFSETS
            self._begin_salvage()
            self._go_on_for(PATIENCE)
        else:
            self._tell_missing(max(newest, self._note.newest, self._hooks.gathering().newest))
        with self._hooks.transaction() as connection:
            raise_sequence(connection, self._gap_until or max(self._note.newest, self._hooks.gathering().newest))
        if not self._note.unsaved:
            self._write_note(is_open=False)

    def _tell_missing(self, until: Offset) -> None:
        """Tell what file and tail lack of what they had: an older copy, or one of the files was removed."""
        lost, gathering = self._count_missing(until), self._hooks.gathering()
        tail = tail_of(self._file).name
        is_tail_gone = gathering.was_empty and self._note.is_open
        if gathering.was_damaged or is_tail_gone:
            what = "was removed or emptied" if is_tail_gone else "is damaged"
            text = f"the journal {self._file} was not closed, and its tail ({tail}) {what}: {_told(lost)}"
            self._tell(text, lost or None)
        elif lost:
            since = datetime.fromtimestamp(self._note.heard, UTC)
            why = "its log was removed, or it is an older copy" if self._note.is_open else "it is an older copy"
            self._tell(
                f"the journal {self._file} lacks {plural(lost, 'reading')} or more of its newest, of about"
                f" {since:%Y-%m-%d %H:%M} UTC: {why}; it is used as it is",
                lost,
            )

    def _count_missing(self, until: Offset) -> int:
        """Return how many entries are missing of those that the note and the tail know of."""
        with self._hooks.hold():
            connection = self._hooks.writer()
            newest = self._hooks.newest()
            after = self._note.kept_after
            if after is None:  # entries were just forgotten: then only the end of them is known
                return until - newest
            return missing(connection, after, until)[0] if until > newest or kept_after(connection) > after else 0

    # --- under the running program

    def inspect(self) -> Sequence[Damage]:
        """See whether all is well, and mend what is not."""
        if time.monotonic() >= self._next_try:
            try:
                self._look()
                self._mark_damaged()
                self._go_on_for(SHARE)
            except (Unavailable, OSError, sqlite3.Error) as error:
                self._next_try = time.monotonic() + RETRY
                log.debug("the journal cannot be mended now: %s", error)
        self._look_in_background()
        is_due = time.monotonic() - self._noted_at >= NOTE_INTERVAL or (self._recent and not self._note.is_open)
        if is_due and self._files is not None:
            self._write_note(is_open=bool(self._recent))
        found, self._found = self._found, []
        return found

    def end(self) -> None:
        """End, before the connections are closed."""
        if self._check is not None:
            self._check.end()
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
            finding = self._suspected() or (self._files.find() if self._files else None)
            if finding is not None:
                self._mend(finding)
            if fault := self._hooks.gathering().find_fault():
                self._tell(
                    f"the journal {self._file}: its tail ({tail_of(self._file).name}) {fault} while btcore used it:"
                    " it was made again, and no reading is lost"
                )

    def _suspected(self) -> Finding | None:
        suspicion, self._suspicion = self._suspicion, ""
        return Finding(Fault.BROKEN, f"is damaged ({suspicion})") if suspicion else None

    def _mend(self, finding: Finding) -> None:
        match finding.fault:
            case Fault.CHANGED:
                log.warning("the journal %s %s: all of it is checked now", self._file, finding.text)
                self._check_at = 0.0
            case Fault.GONE | Fault.FOREIGN | Fault.LOG_GONE:
                try:
                    self._write_back(finding)
                except sqlite3.DatabaseError as error:
                    self._begin_anew(f"{finding.text}, and what was open of it cannot be read ({error})")
            case Fault.BROKEN:
                self._begin_anew(finding.text)

    def _write_back(self, finding: Finding) -> None:
        """Bring what the connections have back to the disk: nothing is lost."""
        self._hooks.gathering().settle()
        writer = self._hooks.writer()
        if finding.fault is Fault.LOG_GONE and _is_checkpointed(writer):
            self._hooks.close("its log is made again")
            self.closed()
        else:
            copy = _copy_of(self._file)
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy(writer, copy)
            self._hooks.close("it is written back")
            self.closed()
            if finding.fault is Fault.GONE and self._file.exists():
                _move_away(self._file)
            for name in ("-wal", "-shm"):
                Path(f"{self._file}{name}").unlink(missing_ok=True)
            copy.replace(self._file)
        self._reopen()
        self._tell(
            f"the journal {self._file} {finding.text} while btcore used it: it was made again, and has all its readings"
        )

    def _begin_anew(self, fault: str) -> None:
        """Move the files away and begin new ones, with what is in memory; what else can be read comes later."""
        self._hooks.gathering().settle()
        self._until = self._newest()
        self._note = attrs.evolve(self._note, newest=self._until)
        self._gap_until = self._until if not self._recent else min(one.offset for one in self._recent) - 1
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.move_away(fault)
        self._hooks.close("it was damaged, and is begun anew")
        self.closed()
        self._reopen()
        if self._salvage is None:
            self._begin_salvage()

    def _reopen(self) -> None:
        hooks = self._hooks
        hooks.open()
        try:
            restore(hooks.writer(), self._newest(), hooks.committed, hooks.sources, hooks.meters(), self._recent)
            hooks.gathering().commit()
            self._watch()
        except BaseException:
            hooks.close("what is in memory could not be written")
            raise

    def _newest(self) -> Offset:
        return max([self._hooks.newest(), *(one.offset for one in list(self._recent)[-1:])])

    def _watch(self) -> None:
        self.closed()
        self._files = OpenFiles(self._file)

    # --- what was moved away

    def _begin_salvage(self) -> None:
        self._salvage = Salvage(self._file.with_name(self._note.unsaved[0]), self._until)
        self._gap_until = self._gap_until or self._until

    def _go_on_for(self, seconds: float) -> None:
        """Bring in some more of what was moved away."""
        until = time.monotonic() + seconds
        while self._salvage is not None and time.monotonic() < until:
            self._go_on(self._salvage)
            time.sleep(YIELD)

    def _go_on(self, salvage: Salvage) -> None:
        try:
            salvage.portion(self._hooks.transaction)
        except PermissionError as error:
            self._give_up(salvage, error)
            return
        if salvage.is_done:
            self._finish(salvage)

    def _give_up(self, salvage: Salvage, error: OSError) -> None:
        """Leave what may not be read where it is: the next start tries again."""
        self._salvage, self._gap_until = None, START
        advice = f"give {salvage.file} to btcore's user (chown) and start btcore again: then it is brought in"
        self._tell(f"{self._fault or 'what was moved away of the journal'}: {error.strerror}; {advice}", None)

    def _finish(self, salvage: Salvage) -> None:
        newest = max(salvage.newest, self._note.newest if self._note.newest <= salvage.until else START)
        after = self._note.kept_after
        with self._hooks.hold():
            lost, undelivered = (None, 0) if after is None else missing(self._hooks.writer(), after, newest)
        rest = self._note.unsaved[1:]
        self._note = attrs.evolve(self._note, newest=newest, unsaved=rest)
        self._salvage = None
        self._gap_until = self._gap_until if rest else START
        what = self._fault or f"the journal {self._file} was damaged"
        gone = "how many are lost is not known" if lost is None else _describe_lost(lost, undelivered)
        kept = (
            f"; the old file is {salvage.file.name}: delete it when you do not need it" if salvage.file.exists() else ""
        )
        self._tell(f"{what}: {plural(salvage.saved, 'reading')} of it brought into a new one, {gone}{kept}", lost)
        if rest:
            self._begin_salvage()
        else:
            self._write_note(is_open=bool(self._recent))
        _remove_oldest(self._file, rest)

    def _mark_damaged(self) -> None:
        if not self.damaged:
            return
        offsets, self.damaged = self.damaged, set()
        with self._hooks.transaction() as connection:
            count = mark_damaged(connection, offsets)
        if count:
            what = either(
                count, "reading is not as it was written, and is", "readings are not as they were written, and are"
            )
            self._tell(
                f"the journal {self._file} is damaged: {what} left out (the first has offset {min(offsets)})", count
            )

    def _look_in_background(self) -> None:
        if self._check is None and time.monotonic() >= self._check_at and self._files is not None:
            self._check_at = time.monotonic() + CHECK_INTERVAL
            self._check = BackgroundCheck(self._file)
        elif self._check is not None and self._check.is_done:
            check, self._check = self._check, None
            self.damaged |= check.damaged
            if check.fault:
                self.suspect(check.fault)

    # --- telling

    def _tell(self, text: str, lost: int | None = 0) -> None:
        damage = Damage(datetime.now(UTC), text, lost)
        self._found.append(damage)
        self._note = self._note.with_damage(damage)
        self._fault = ""
        write_note(self._file, self._note)

    def _write_note(self, *, is_open: bool) -> None:
        self._noted_at = time.monotonic()
        newest = self._newest()
        heard = self._recent[-1].key // 1_000_000 if self._recent else self._note.heard
        with self._hooks.hold():
            if is_open:
                with suppress(OSError):
                    self._hooks.gathering().prepare()
            after = self._note.kept_after if self._salvage else kept_after(self._hooks.writer())
        after = None if self._is_forgetting else after
        note = attrs.evolve(self._note, newest=newest, heard=heard, kept_after=after, is_open=is_open)
        if note != self._note or not path_of(self._file).exists():
            self._note = note
            write_note(self._file, note)


def _move_away(file: Path) -> Path:
    """Rename the files of a journal; return what the first of them is called now. Raises OSError."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{file.name}.damaged-{stamp}", *(f"{file.name}.damaged-{stamp}-{count}" for count in range(2, 100)))
    free = (name for name in names if not file.with_name(name).exists() and not file.with_name(f"{name}-wal").exists())
    moved = file.with_name(next(free))
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            Path(f"{file}{suffix}").rename(f"{moved}{suffix}")
    Path(f"{file}-shm").unlink(missing_ok=True)
    return moved


def _remove_oldest(file: Path, unsaved: Sequence[str]) -> None:
    """Remove the oldest of many damaged files, from which all that can be read was brought in: they fill the disk."""
    names = {one.name.removesuffix("-wal") for one in file.parent.glob(f"{glob.escape(file.name)}.damaged-*")}
    for name in sorted(names - {*unsaved})[:-MAX_MOVED]:
        for suffix in ("", "-wal"):
            file.with_name(f"{name}{suffix}").unlink(missing_ok=True)
        log.warning("%s was removed: of damaged journals the newest %d are kept", name, MAX_MOVED)


def _copy_of(file: Path) -> Path:
    """Return where a copy of the journal is while it is made."""
    return Path(f"{file}-copy")


def _copy(writer: sqlite3.Connection, copy: Path) -> None:
    """Copy all that a connection has to a new file; all of it, or none."""
    copy.unlink(missing_ok=True)
    make_private(copy)
    try:
        with closing(sqlite3.connect(copy)) as out:
            writer.backup(out)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


def _is_checkpointed(writer: sqlite3.Connection) -> bool:
    """Bring the log into the file; return whether all of it is there now."""
    is_busy, pages, done = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy and pages == done


def _told(lost: int) -> str:
    if not lost:
        return "what came in last may be lost"
    return f"{either(lost, 'reading is', 'readings are')} lost"


def _describe_lost(lost: int, undelivered: int) -> str:
    if not lost:
        return "none is lost"
    what = (
        "none of which a sink had not had"
        if not undelivered
        else f"{undelivered} of which no sink, or not all, had had"
    )
    return f"{either(lost, 'is', 'are')} lost, {what}"
