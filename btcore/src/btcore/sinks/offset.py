"""How far one sink has come: its cursor, in memory and in the journal.

What the sink's settings want nothing of moves the cursor only together with what they do want, behind it: where they
are mended, it is read again. Reading what is behind the cursor is `backlog.py`'s work.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock

import attrs

from btcore.errors import Unavailable
from btcore.journal import Baseline, Checkpoint, DeadLetter, Entry, Journal
from btcore.journal.retry import JournalRetry
from btcore.settings import Context
from btcore.sinks.resumption import again
from btcore.values.fingerprint import Fingerprint

MOST_PASSED = 4096
"""Baselines of meters of which nothing is wanted that are remembered; beyond it, those heard last."""


class Place:
    """The place of one sink in the journal. Its worker moves it; with `lock` held, `drop` may be done by others."""

    def __init__(self, journal: Journal, context: Context, patiently: JournalRetry, fingerprint: Fingerprint) -> None:
        """Prepare; nothing is read before `begin`. The fingerprint is that of the sink's settings."""
        self.checkpoint = Checkpoint()
        self.has_begun = False
        self.lock = Lock()
        self._journal = journal
        self._context = context
        self._patiently = patiently
        self._fingerprint = fingerprint
        self._passed: dict[str, Baseline] = {}  # those that changed since the cursor moved
        self._unwanted_from = 0  # the first place behind the cursor that the settings do not want

    @property
    def is_proven(self) -> bool:
        """Whether anything was ever accepted with these settings."""
        return self.checkpoint.accepted == self._fingerprint.all

    def begin(self, start: str, whole: str = "") -> None:
        """Find the sink's place in the journal, or give it one: at the `start` that it wants.

        `whole` is the table that the sink was a part of before it was split: it goes on from there.
        """
        cursor = self._patiently(lambda: self._journal.checkpoint(self._context.name))
        settings = self._fingerprint.choosing
        if cursor is None:
            before = self._patiently(lambda: self._journal.checkpoint(whole)) if whole else None
            first = before or Checkpoint(self._journal.newest() if start == "end" else 0)
            self._keep(Checkpoint(first.offset, first.baselines, settings=settings))
        else:
            for line in again(cursor, settings, self._read):
                self._context.log.info("%s", line)
            self.checkpoint = cursor if cursor.settings == settings else self._unseen(cursor)
        self.has_begun = True

    def base(self, key: str) -> Baseline | None:
        """Return a baseline, by its key."""
        return self._passed.get(key) or self._patiently(lambda: self._journal.baseline(self._context.name, key))

    def delivered(
        self,
        position: int,
        bases: Mapping[str, Baseline],
        aside: Sequence[DeadLetter] = (),
        *,
        is_missed: bool = False,
        is_proof: bool = False,
    ) -> None:
        """Move the cursor, never back; keep what was refused. What was dropped meanwhile stays dropped.

        `is_missed`: the settings did not want all of it. `is_proof`: it was accepted, so the settings work.
        """
        if is_missed:
            self.unwanted(self.checkpoint.offset + 1)
        if aside and not self._context.dry_run:  # before the offset moves: a crash in between loses none of them
            self._patiently(lambda: self._journal.keep_dead_letters(aside))
        with self.lock:
            cursor = self._advanced(max(position, self.checkpoint.offset), bases)
            if is_proof:
                cursor = attrs.evolve(cursor, accepted=self._fingerprint.all)
            self._keep(cursor)
            self._has_advanced()

    def passed(self, bases: Mapping[str, Baseline], *, is_missed: bool) -> None:
        """Take note of what nothing was wanted of: the cursor moves behind it with what is wanted after it.

        `is_missed`: because of the settings, not because there was nothing to want.
        """
        if is_missed:
            self.unwanted(self.checkpoint.offset + 1)
        with self.lock:
            for key, base in bases.items():
                self._passed.pop(key, None)  # the last heard is the last one
                self._passed[key] = base
            for key in list(self._passed)[:-MOST_PASSED]:
                del self._passed[key]

    def unwanted(self, place: int) -> None:
        """Take note of a reading that the settings do not want."""
        self._unwanted_from = self._unwanted_from or place

    def seen(self, place: int) -> None:
        """Take note of how far the sink has looked, when all that is wanted of it was delivered."""
        if place > self.checkpoint.examined:
            with self.lock:
                if place > self.checkpoint.examined:
                    self._keep(attrs.evolve(self.checkpoint, examined=place))

    def drop(self, place: int) -> None:
        """Move the cursor over what was not delivered. The lock is held. Raises Unavailable: it waits for nothing."""
        cursor = self._advanced(place, {})
        self.checkpoint = cursor if self._context.dry_run else self._journal.commit(self._context.name, cursor)
        self._has_advanced()

    def _unseen(self, cursor: Checkpoint) -> Checkpoint:
        """Return the cursor of a sink whose settings changed: what it wanted nothing of before, it may want now."""
        for_worker = attrs.evolve(cursor, examined=cursor.offset, settings=self._fingerprint.choosing)
        with suppress(Unavailable):  # a full disk keeps no sink from beginning: the next commit says it as well
            if not self._context.dry_run:
                return self._journal.commit(self._context.name, for_worker)
        return for_worker

    def _advanced(self, place: int, bases: Mapping[str, Baseline]) -> Checkpoint:
        """Return the cursor at a place, and over all that was passed over before it."""
        cursor = self.checkpoint.moved(place, {**self._passed, **bases})
        missed = self._unwanted_from if self._unwanted_from <= place else 0
        return attrs.evolve(cursor, first_unwanted=cursor.first_unwanted or missed)

    def _has_advanced(self) -> None:
        self._passed.clear()
        if self._unwanted_from <= self.checkpoint.offset:
            self._unwanted_from = 0

    def _keep(self, cursor: Checkpoint) -> None:
        """Keep a checkpoint in the journal; not in a dry run. Raises Superseded where another worker has moved it."""
        if not self._context.dry_run:
            cursor = self._patiently(lambda: self._journal.commit(self._context.name, cursor))
        self.checkpoint = cursor

    def _read(self, after: int, most: int) -> Sequence[Entry]:
        return self._patiently(lambda: self._journal.read(after, most))
