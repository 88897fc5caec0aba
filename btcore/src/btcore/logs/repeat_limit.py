"""What is written of messages that repeat: the first few within an hour, then how many more there were.

It is the net below what reports failures by their meaning (`failures.py`): whatever a plugin or a library logs, its
log stays small. Nothing is left out without being counted and told.
"""

import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock

import attrs

from btcore.text import shortened

HOUR = 3600.0
FIRST = 3
"""Messages of one kind from a plugin or a library that are written within an hour."""

FIRST_OF_CORE = 20
"""The same of the core's own, which have a meaning for each meter and sink."""

MAX_MESSAGES = 200
"""Messages of all kinds of one source, sink or library that are written within an hour; the errors apart."""

MAX_ERRORS = 500
"""Errors, of different texts."""

MAX_KINDS = 4000
"""Kinds of messages that are known at once; beyond this the oldest is told and forgotten."""

MAX_COMPARED = 500
"""Characters by which errors are told apart."""

BEGINNING = 60
"""Characters of a message that tell its kind, where its template does not."""

CORE = f"{Path(__file__).parent}{os.sep}"

_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-#0 +]*[\d*]*(?:\.[\d*]+)?[a-zA-Z%]")


@attrs.define
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
    """Decides which messages are written. Times are seconds of a clock that never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing known."""
        self._clock = clock
        self._lock = RLock()
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()

    def allows(self, record: logging.LogRecord, text: str) -> bool:
        """Return whether a message is to be written; what the program says itself always is.

        `text` is how it reads, without secrets: of what is left out, a part may be told.
        """
        table = _table(record.name)
        if table == "btcore":
            return True
        error = record.levelno >= logging.ERROR
        with self._lock:
            every = self._kind(("", table, str(error)), record, "lines")
            if every.written >= (MAX_ERRORS if error else MAX_MESSAGES):
                return _suppress(every, text)
            kind = self._kind(
                (table, record.levelname, text[:MAX_COMPARED] if error else _template(record, text)),
                record,
                "like this",
            )
            if kind.written >= (FIRST_OF_CORE if record.pathname.startswith(CORE) else FIRST):
                return _suppress(kind, text)
            every.written += 1
            kind.written += 1
            return True

    def summaries(self, *, all_: bool = False) -> list[logging.LogRecord]:
        """Return a message for each kind whose hour is over (or for all) of which something was left out."""
        with self._lock:
            over = list(self._over(self._clock() - HOUR, all_=all_))
        return [_summary(kind) for kind in over if kind.left_out]

    def _over(self, before: float, *, all_: bool) -> Iterator[_Kind]:
        """Forget the kinds that began before a time, or are too many; they are in the order of their beginning."""
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
    message = f"{kind.left_out} more {kind.about} within the hour, the last: {kind.last}"
    return logging.LogRecord(kind.name, kind.level, __file__, 0, message, None, None)


def _table(logger: str) -> str:
    """Return whose logger it is: of a table (`sink.roof`), or of a package."""
    parts = logger.split(".")
    return ".".join(parts[:2]) if parts[0] in ("source", "sink", "decoder") else parts[0]


def _template(record: logging.LogRecord, text: str) -> str:
    """Return what messages of a kind have in common: the template, or the text's beginning, whatever its numbers."""
    if record.args and isinstance(record.msg, str) and re.search(r"[^\W\d_]{3}", _PLACEHOLDER.sub("", record.msg)):
        return record.msg[: BEGINNING * 3]
    return re.sub(r"\d+", "0", text[: BEGINNING * 2])[:BEGINNING]
