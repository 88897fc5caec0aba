# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, for one sink: kept in the journal, so that it outlasts a kill, until it is done.

The requests of a sink are in a checkpoint of their own, beside that of its live delivery: while there are any, it holds
the readings that they need. Doing what is asked for does not belong here.
"""

import json
import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import Any, Self

from btcore.classes import as_dicts, evolve, field, fields, frozen
from btcore.errors import Unavailable
from btcore.journal import START, Checkpoint, Journal, Offset, Superseded
from btcore.journal.partitions import Share, partitioned, replay_name

MAX_REQUESTS = 16
"""Requests of one sink that may wait; and of those that are done, so many are remembered."""

REFRESH = 2.0
"""Seconds for which what was read is good, where other programs change it."""

COUNTS = ("delivered", "refused", "stored", "missing")
"""Fields of a request that count readings."""

LISTS = ("meters", "letters")
"""Fields of a request that JSON keeps as lists."""


@frozen
class Request:
    """One request, and how far it has come.

    `since` and `until` are keys, of the first and the last reading that is wanted; `meters` are serial numbers (empty:
    all), `channel` is SERIAL_LABEL or a label (empty: all). `gaps`: only what the sink does not have; with `find_only`,
    that is counted and not delivered. `retry`: nothing of that counts, but `letters`: the ids of dead letters that are
    still to be retried.

    `end` is the offset up to which the live delivery had come when the request was begun (0: not begun): what comes
    after it is delivered anyway. `read_to` is up to where the journal is read for it. `done` is the offset up to which
    all is settled. `delivered` and `refused` count readings, `stored` those that the sink had,
    `missing` those that it had not. `is_finished`: it is kept for those only who want to know how it went.
    """

    number: str = field(factory=lambda: os.urandom(3).hex())
    since: int | None = None
    until: int | None = None
    meters: tuple[str, ...] = ()
    channel: str = ""
    gaps: bool = False
    find_only: bool = False
    retry: bool = False
    letters: tuple[str, ...] = ()
    end: Offset = START
    read_to: Offset = START
    done: Offset = START
    delivered: int = 0
    refused: int = 0
    stored: int = 0
    missing: int = 0
    why: str = ""
    is_finished: bool = False

    @property
    def has_begun(self) -> bool:
        """Whether it is known up to where it goes."""
        return self.read_to != START

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make it of what JSON keeps; what a later version has added is left out."""
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {key: value for key, value in data.items() if key in known}
        return cls(**given | {key: tuple(given.get(key, ())) for key in LISTS})


class Requests:
    """The requests of one sink, oldest first. Safe from any thread. All methods raise Unavailable.

    `is_shared`: other programs ask and deliver too, so the journal is read again now and then.
    """

    def __init__(self, journal: Journal, table: str, *, is_shared: bool = False) -> None:
        """Prepare; the journal is read with the first use."""
        self.table = table
        self.is_shared = is_shared
        self._read_at = -math.inf
        self._journal = journal
        self._lock = Lock()
        self._checkpoint: Checkpoint | None = None
        self._waiting: OrderedDict[str, Request] = OrderedDict()
        self._finished: OrderedDict[str, Request] = OrderedDict()

    def waiting(self) -> tuple[Request, ...]:
        """Return the requests that are not finished, oldest first."""
        with self._lock:
            self._load()
            return tuple(self._waiting.values())

    def first(self) -> Request | None:
        """Return the request to work on, if there is any."""
        return next(iter(self.waiting()), None)

    def get(self, number: str) -> Request | None:
        """Return a request that waits or was finished lately."""
        with self._lock:
            self._load()
            return self._waiting.get(number) or self._finished.get(number)

    def is_waiting(self, number: str) -> bool:
        """Whether a request is not finished."""
        with self._lock:
            self._load()
            return number in self._waiting

    def ask(self, request: Request) -> None:
        """Keep a request. Raises Unavailable also where too many wait."""
        with self._lock:
            while True:
                self._load()
                if len(self._waiting) >= MAX_REQUESTS:
                    raise Unavailable(f"{MAX_REQUESTS} requests wait for {self.table} already: wait until one is done")
                try:
                    self._commit({**self._waiting, request.number: request})
                except Superseded:
                    if self.is_shared:  # another program has changed them: look again
                        continue
                    raise
                return

    def ask_for_all(self, *, ask: bool = False) -> bool:
        """Return whether a replay waits; where none does, `ask` for all that the sink has had, if it has had any."""
        is_waiting = any(not one.retry for one in self.waiting())
        had = self._journal.checkpoint(self.table) if ask and not is_waiting else None
        if had is None or had.offset == START:
            return is_waiting
        self.ask(Request())
        return True

    def update(self, request: Request) -> None:
        """Keep how far a request has come."""
        with self._lock:
            if request.number in self._waiting:
                self._commit({**self._waiting, request.number: request})

    def finish(self, request: Request) -> None:
        """Forget a request: it is done, or a person does not want it any more."""
        with self._lock:
            self._load()
            self._finished[request.number] = evolve(request, is_finished=True)
            while len(self._finished) > MAX_REQUESTS:
                self._finished.popitem(last=False)
            self._commit({number: one for number, one in self._waiting.items() if number != request.number})

    def held(self) -> list[str]:
        """Return the name whose checkpoint holds readings in the journal now, if any does."""
        return [replay_name(self.table)] if self.first() is not None else []

    def _load(self) -> None:
        if self.is_shared and self._checkpoint is not None and monotonic() - self._read_at >= REFRESH:
            with suppress(Unavailable):  # what was known last is as good until then
                self._read()
        if self._checkpoint is None:
            self._read()

    def _read(self) -> None:
        found = self._journal.checkpoint(replay_name(self.table)) or Checkpoint()
        self._read_at = monotonic()
        if self._checkpoint is None or found.revision != self._checkpoint.revision:
            self._checkpoint = found
            kept = [Request.from_json(one) for one in json.loads(found.settings or "[]")]
            self._waiting = OrderedDict((one.number, one) for one in kept if not one.is_finished)
            self._finished.update((one.number, one) for one in kept if one.is_finished)

    def _commit(self, waiting: Mapping[str, Request]) -> None:
        before = self._checkpoint or Checkpoint()
        # what is read for the first request has to be read again after a kill: from the same offset on
        held = before.offset if self._waiting else self._journal.kept_after()
        kept = [*waiting.values(), *(self._finished.values() if self.is_shared else ())]
        text = json.dumps([as_dicts(one) for one in kept], separators=(",", ":")) if kept else ""
        changed = Checkpoint(held, examined=held, settings=text, revision=before.revision)
        try:
            self._checkpoint = self._journal.commit(replay_name(self.table), changed)
        except Superseded:
            self._checkpoint = None
            raise
        self._waiting = OrderedDict(waiting)


class SharedRequests:
    """The requests of one sink of a journal with partitions: each is asked of all of them, and is done when all are."""

    def __init__(self, parts: Sequence[Requests]) -> None:
        """Take the requests of the partitions."""
        self._parts = parts

    def ask(self, request: Request) -> None:
        """Keep a request in each partition. Raises Unavailable, and may have been kept in some then."""
        for part in self._parts:
            part.ask(request)

    def is_waiting(self, number: str) -> bool:
        """Whether a request is not finished everywhere."""
        return any(part.is_waiting(number) for part in self._parts)

    def waiting(self) -> tuple[Request, ...]:
        """Return the requests that are not finished, with how far they have come in all partitions."""
        numbers = dict.fromkeys(one.number for part in self._parts for one in part.waiting())
        return tuple(found for number in numbers if (found := self.get(number)) is not None)

    def get(self, number: str) -> Request | None:
        """Return a request, with how far it has come in all partitions."""
        found = [one for part in self._parts if (one := part.get(number)) is not None]
        return _sum_of(found) if found else None


def _sum_of(requests: Sequence[Request]) -> Request:
    """Return one request that has what those of all partitions have."""
    sums = {name: sum(getattr(one, name) for one in requests) for name in COUNTS}
    why = next((one.why for one in requests if one.why), "")
    return evolve(requests[0], **sums, why=why)


class RequestBook:
    """The requests of all sinks of a site: each has one `Requests`, also while its worker is replaced."""

    def __init__(self, journal: Journal) -> None:
        """Prepare; nothing is read yet."""
        self._journal = journal
        self._lock = Lock()
        self._of: dict[str, Requests] = {}
        self._shared: dict[str, SharedRequests] = {}

    def of(self, table: str) -> Requests:
        """Return the requests of a sink. Safe from any thread."""
        with self._lock:
            if table not in self._of:
                self._of[table] = Requests(self._journal, table)
            return self._of[table]

    def of_share(self, share: Share) -> Requests:
        """Return the requests of a partition of a sink, in a journal that has partitions."""
        journal = partitioned(self._journal)
        with self._lock:
            if str(share) not in self._of and journal is not None:
                self._of[str(share)] = Requests(journal.partition(share.partition), share.sink, is_shared=True)
            return self._of[str(share)]

    def of_all(self, table: str) -> Requests | SharedRequests:
        """Return the requests of a sink, in all partitions that the journal has."""
        journal = partitioned(self._journal)
        if journal is None:
            return self.of(table)
        parts = [self.of_share(Share(table, number)) for number in range(journal.partitions)]
        return self._shared.setdefault(table, SharedRequests(parts))
