# SPDX-License-Identifier: GPL-3.0-or-later
"""The limit of repeated messages: the first few within an hour are written, then how many more there were.

It is the safety net below `failures.py`, which reports failures by their meaning: whatever a plugin or a library logs,
the log stays small. Every message that is suppressed is counted, and the count is logged.
"""

import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock

from btcore.classes import define
from btcore.text import shortened

HOUR = 3600.0
FIRST = 3
"""Messages of one kind from a plugin or a library that are written within an hour."""

FIRST_OF_CORE = 20
"""The same of the core's own, which differ by meter and sink."""

MAX_MESSAGES = 200
"""Messages of all kinds of one source, sink or library that are written within an hour, without errors."""

MAX_ERRORS = 500
"""Errors of different texts that are written within an hour."""

MAX_KINDS = 4000
"""Kinds of messages that are remembered; above the limit, the oldest is summarized and forgotten."""

MAX_COMPARED = 500
"""Characters by which errors are compared."""

BEGINNING = 60
"""Characters of a message that identify its kind, where its template does not."""

CORE = f"{Path(__file__).parents[1]}{os.sep}"
"""Where the core's own modules are: all wings, not this one alone."""

_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-#0 +]*[\d*]*(?:\.[\d*]+)?[a-zA-Z%]")


@define
class _Kind:
    """Messages of one kind since the first of them."""

    since: float
    level: int
    name: str
    about: str
    written: int = 0
    left_out: int = 0
    last: str = ""


class RepeatLimit:
    """Decides which messages are written. Times are seconds of a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing known."""
        self._clock = clock
        self._lock = RLock()
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()

    def allows(self, record: logging.LogRecord, text: str) -> bool:
        """Return whether a message is to be written. Those of the program itself (`btcore`) always are.

        `text` is the formatted message with its secrets redacted: a summary may quote it.
        """
        table = _table(record.name)
        if table == "btcore":
            return True
        error = record.levelno >= logging.ERROR
        with self._lock:
            overall = self._kind(("", table, str(error)), record, "lines")
            if overall.written >= (MAX_ERRORS if error else MAX_MESSAGES):
                return _suppress(overall, text)
            kind = self._kind(
                (table, record.levelname, text[:MAX_COMPARED] if error else _template(record, text)),
                record,
                "like this",
            )
            if kind.written >= (FIRST_OF_CORE if record.pathname.startswith(CORE) else FIRST):
                return _suppress(kind, text)
            overall.written += 1
            kind.written += 1
            return True

    def summaries(self, *, all_: bool = False) -> list[logging.LogRecord]:
        """Return a summary of each kind with suppressed messages whose hour is over, or of all kinds."""
        with self._lock:
            over = list(self._over(self._clock() - HOUR, all_=all_))
        return [_summary(kind) for kind in over if kind.left_out]

    def _over(self, before: float, *, all_: bool) -> Iterator[_Kind]:
        """Remove and yield the kinds that began before a time, or are above the limit; the oldest comes first."""
        while self._kinds:
            if not all_ and len(self._kinds) <= MAX_KINDS and next(iter(self._kinds.values())).since > before:
                return
            yield self._kinds.popitem(last=False)[1]

    def _kind(self, key: tuple[str, ...], record: logging.LogRecord, about: str) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self._clock(), record.levelno, record.name, about)
        return kind


def _suppress(kind: _Kind, text: str) -> bool:
    kind.left_out += 1
    kind.last = shortened(text, BEGINNING * 3)
    return False


def _summary(kind: _Kind) -> logging.LogRecord:
    message = f"{kind.left_out} more {kind.about} within the hour; last: {kind.last}"
    return logging.LogRecord(kind.name, kind.level, __file__, 0, message, None, None)


def _table(logger: str) -> str:
    """Return the table (`sink.roof`) or the package that a logger belongs to."""
    parts = logger.split(".")
    return ".".join(parts[:2]) if parts[0] in ("source", "sink", "decoder") else parts[0]


def _template(record: logging.LogRecord, text: str) -> str:
    """Return what messages of a kind share: the template, or the beginning of the text with every number as 0."""
    if record.args and isinstance(record.msg, str) and re.search(r"[^\W\d_]{3}", _PLACEHOLDER.sub("", record.msg)):
        return record.msg[: BEGINNING * 3]
    return re.sub(r"\d+", "0", text[: BEGINNING * 2])[:BEGINNING]
