# SPDX-License-Identifier: GPL-3.0-or-later
"""What was asked for, for one sink: kept in the journal, so that it outlasts a kill, until it is done.

The requests of a sink are in a checkpoint of their own, beside that of its live delivery: while there are any, it holds
the readings that they need. Doing what is asked for does not belong here.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any, Self

import attrs

from btcore.classes import frozen
from btcore.errors import Unavailable
from btcore.journal import START, Checkpoint, Journal, Offset, Superseded

MAX_REQUESTS = 16
"""Requests of one sink that may wait; and of those that are done, so many are remembered."""

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
    `missing` those that it had not.
    """

    number: str = attrs.field(factory=lambda: os.urandom(3).hex())
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

    @property
    def has_begun(self) -> bool:
        """Whether it is known up to where it goes."""
        return self.read_to != START

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make it of what JSON keeps; what a later version has added is left out."""
        known = {field.name for field in attrs.fields(cls)}
        given: dict[str, Any] = {key: value for key, value in data.items() if key in known}
        return cls(**given | {key: tuple(given.get(key, ())) for key in LISTS})


def replay_name(table: str) -> str:
    """Return the name under which the journal keeps the requests of a sink."""
    return f"{table} (replay)"


class Requests:
    """The requests of one sink, oldest first. Safe from any thread. All methods raise Unavailable."""

    def __init__(self, journal: Journal, table: str) -> None:
        """Prepare; the journal is read with the first use."""
        self.table = table
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
            self._load()
            if len(self._waiting) >= MAX_REQUESTS:
                raise Unavailable(f"{MAX_REQUESTS} requests wait for {self.table} already: wait until one is done")
            self._commit({**self._waiting, request.number: request})

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
            self._commit({number: one for number, one in self._waiting.items() if number != request.number})
            self._finished[request.number] = request
            while len(self._finished) > MAX_REQUESTS:
                self._finished.popitem(last=False)

    def held(self) -> list[str]:
        """Return the name whose checkpoint holds readings in the journal now, if any does."""
        return [replay_name(self.table)] if self.first() is not None else []

    def _load(self) -> None:
        if self._checkpoint is None:
            self._checkpoint = self._journal.checkpoint(replay_name(self.table)) or Checkpoint()
            kept = json.loads(self._checkpoint.settings or "[]")
            self._waiting = OrderedDict((one["number"], Request.from_json(one)) for one in kept)

    def _commit(self, waiting: Mapping[str, Request]) -> None:
        before = self._checkpoint or Checkpoint()
        # what is read for the first request has to be read again after a kill: from the same offset on
        held = before.offset if self._waiting else self._journal.kept_after()
        text = json.dumps([attrs.asdict(one) for one in waiting.values()], separators=(",", ":")) if waiting else ""
        changed = Checkpoint(held, examined=held, settings=text, revision=before.revision)
        try:
            self._checkpoint = self._journal.commit(replay_name(self.table), changed)
        except Superseded:
            self._checkpoint = None
            raise
        self._waiting = OrderedDict(waiting)


class RequestBook:
    """The requests of all sinks of a site: each has one `Requests`, also while its worker is replaced."""

    def __init__(self, journal: Journal) -> None:
        """Prepare; nothing is read yet."""
        self._journal = journal
        self._lock = Lock()
        self._of: dict[str, Requests] = {}

    def of(self, table: str) -> Requests:
        """Return the requests of a sink. Safe from any thread."""
        with self._lock:
            if table not in self._of:
                self._of[table] = Requests(self._journal, table)
            return self._of[table]
