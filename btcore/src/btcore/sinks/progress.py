# SPDX-License-Identifier: GPL-3.0-or-later
"""How far one sink has come: its checkpoint, in memory and in the journal.

What the sink's settings do not select moves the offset only together with what they do select, after it: where they are
corrected, it is read again. Reading what comes after the offset is the work of `backlog.py`.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from time import monotonic

from btcore.classes import evolve
from btcore.errors import Unavailable
from btcore.journal import START, Baseline, Checkpoint, DeadLetter, Journal, Offset
from btcore.journal.retry import JournalRetry
from btcore.settings import Context
from btcore.sinks.resumption import describe_resumption
from btcore.values.fingerprint import Fingerprint

MAX_PASSED = 4096
"""Baselines of meters of which nothing is selected that are remembered; above it, those heard last."""


WRITE_INTERVAL = 60.0
"""Seconds between two writes of how far a sink has looked, where nothing was delivered meanwhile."""

MAX_UNKEPT = 500
"""Entries after which that is written at once: the journal keeps them until then."""


class Progress:
    """The checkpoint of one sink. Its worker moves it; with `lock` held, others may `drop`."""

    def __init__(self, journal: Journal, context: Context, retry: JournalRetry, fingerprint: Fingerprint) -> None:
        """Prepare; nothing is read before `begin`. The fingerprint is that of the sink's settings."""
        self.checkpoint = Checkpoint()
        self.has_begun = False
        self.lock = Lock()
        self._journal = journal
        self._context = context
        self._retry = retry
        self._fingerprint = fingerprint
        self._passed: dict[str, Baseline] = {}  # those that changed since the checkpoint moved
        self._first_unwanted = START  # of what comes after the checkpoint
        self._kept = START  # up to where the journal knows that the sink has looked
        self._written_at = -math.inf  # when that was kept, where nothing was delivered

    @property
    def is_proven(self) -> bool:
        """Whether anything was ever accepted with these settings."""
        return self.checkpoint.accepted == self._fingerprint.all

    def begin(self, start_at: str, split_from: str = "") -> None:
        """Find the sink's checkpoint in the journal, or make it.

        `split_from` is the table that the sink was a part of before it was split: it continues from there.
        """
        found = self._retry(lambda: self._journal.checkpoint(self._context.name))
        settings = self._fingerprint.choosing
        if found is None:
            before = self._retry(lambda: self._journal.checkpoint(split_from)) if split_from else None
            first = before or Checkpoint(self._journal.newest() if start_at == "end" else START)
            self._commit(Checkpoint(first.offset, first.baselines, settings=settings))
        else:
            for line in self._retry(lambda: list(describe_resumption(found, settings, self._journal))):
                self._context.log.info("%s", line)
            self.checkpoint = found if found.settings == settings else self._with_settings(found)
            self._kept = self.checkpoint.examined
        self.has_begun = True

    def baseline(self, key: str) -> Baseline | None:
        """Return a baseline, by its key."""
        return self._passed.get(key) or self._retry(lambda: self._journal.baseline(self._context.name, key))

    def delivered(
        self,
        offset: Offset,
        baselines: Mapping[str, Baseline],
        letters: Sequence[DeadLetter] = (),
        *,
        is_proof: bool = False,
    ) -> None:
        """Move the checkpoint, never back; keep the dead letters. What was dropped meanwhile stays dropped.

        `is_proof`: something was accepted, so the settings work.
        """
        if letters and not self._context.dry_run:  # before the offset moves: a crash in between loses none of them
            self._retry(lambda: self._journal.keep_dead_letters(letters))
        with self.lock:
            checkpoint = self._moved(max(offset, self.checkpoint.offset), baselines)
            if is_proof:
                checkpoint = evolve(checkpoint, accepted=self._fingerprint.all)
            self._commit(checkpoint)
            self._has_moved()

    def passed(self, baselines: Mapping[str, Baseline]) -> None:
        """Remember the baselines of what is not selected: they are kept with what is selected after it."""
        with self.lock:
            for key, baseline in baselines.items():
                self._passed.pop(key, None)  # the last heard is the last one
                self._passed[key] = baseline
            for key in list(self._passed)[:-MAX_PASSED]:
                del self._passed[key]

    def unwanted(self, offset: Offset) -> None:
        """Remember a reading that the settings do not select."""
        self._first_unwanted = self._first_unwanted or offset

    def examined(self, offset: Offset) -> None:
        """Note how far the sink has looked, when all that is selected of it was delivered.

        It is kept now and then: to look once more at what is not selected costs less than to write each time.
        """
        if offset > self.checkpoint.examined:
            with self.lock:
                if offset > self.checkpoint.examined:
                    self.checkpoint = evolve(self.checkpoint, examined=offset)
        unkept = self.checkpoint.examined - self._kept
        if unkept >= MAX_UNKEPT or (unkept > 0 and monotonic() - self._written_at >= WRITE_INTERVAL):
            self.write()

    def write(self) -> None:
        """Keep how far the sink has looked, where that is not in the journal."""
        with self.lock:
            if self.checkpoint.examined > self._kept:
                self._commit(self.checkpoint)
                self._written_at = monotonic()

    def drop(self, offset: Offset) -> None:
        """Move the checkpoint over what was not delivered. The lock is held. Raises Unavailable: it does not wait."""
        checkpoint = self._moved(offset, {})
        is_kept = not self._context.dry_run
        self.checkpoint = self._journal.commit(self._context.name, checkpoint) if is_kept else checkpoint
        self._kept = self.checkpoint.examined
        self._has_moved()

    def _with_settings(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint of a sink whose settings changed: they may select what they did not before."""
        changed = evolve(checkpoint, examined=checkpoint.offset, settings=self._fingerprint.choosing)
        with suppress(Unavailable):  # a full disk keeps no sink from beginning: the next commit keeps it as well
            if not self._context.dry_run:
                return self._journal.commit(self._context.name, changed)
        return changed

    def _moved(self, offset: Offset, baselines: Mapping[str, Baseline]) -> Checkpoint:
        """Return the checkpoint at an offset, with all that was passed before it."""
        checkpoint = self.checkpoint.moved(offset, {**self._passed, **baselines})
        unwanted = self._first_unwanted if self._first_unwanted <= offset else START
        return evolve(checkpoint, first_unwanted=checkpoint.first_unwanted or unwanted)

    def _has_moved(self) -> None:
        self._passed.clear()
        if self._first_unwanted <= self.checkpoint.offset:
            self._first_unwanted = START

    def _commit(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint in the journal; not in a dry run. Raises Superseded where another worker has moved it."""
        if not self._context.dry_run:
            checkpoint = self._retry(lambda: self._journal.commit(self._context.name, checkpoint))
        self.checkpoint = checkpoint
        self._kept = checkpoint.examined
