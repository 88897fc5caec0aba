# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's log: one line an event, to stderr. A thread that logs never waits for the reader of stderr.

A line is formatted in the thread that logs, with the values of that moment; `queue.py` writes it.
"""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO

from btcore.logs.formatter import MAX_MESSAGE, Formatter, message_of
from btcore.logs.forms import LogFormat, make_formatter
from btcore.logs.queue import LogQueue
from btcore.logs.recent import RecentWarnings
from btcore.logs.repeat_limit import RepeatLimit
from btcore.text import plain

FLUSH = 1.0
"""Seconds to write what is still queued when the program ends."""


class LogHandler(logging.Handler):
    """Formats records and queues the lines. `repeat_limit` may suppress some."""

    def __init__(self, stream: TextIO | None, form: Formatter, repeat_limit: RepeatLimit | None = None) -> None:
        """Send lines to a stream."""
        super().__init__()
        self.setFormatter(form)
        self.form = form
        self.queue = LogQueue(stream, self._dropped, self._summarize)
        self._repeat_limit = repeat_limit
        self._recent = RecentWarnings()

    def handle(self, record: logging.LogRecord) -> bool:
        """Handle a record, without logging's lock: an argument that takes long to format delays its own thread only."""
        if not self.filter(record):
            return False
        self._summarize()
        if (
            self._repeat_limit is not None
            and record.levelno >= logging.INFO
            and not self._repeat_limit.allows(record, self.form.redact(message_of(record)))
        ):
            return False
        self.emit(record)
        return True

    @property
    def recent(self) -> RecentWarnings:
        """The last warnings."""
        return self._recent

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, or count it as dropped, unformatted, where the queue is full."""
        if record.levelno >= logging.WARNING:
            self._recent.add(record, self.form.redact(message_of(record)))
        if self.queue.accepts(urgent=record.levelno >= logging.WARNING):
            self.queue.put(self.form.format(record) + "\n")

    def flush(self) -> None:
        """Wait until everything is written, at most a second."""
        self.queue.flush(FLUSH)

    def close(self) -> None:
        """Log the remaining summaries, and end."""
        self._summarize(all_=True)
        self.flush()
        self.queue.close()
        super().close()

    def _summarize(self, *, all_: bool = False) -> None:
        for record in self._repeat_limit.summaries(all_=all_) if self._repeat_limit else ():
            self.emit(record)

    def _dropped(self, count: int, why: str) -> str:
        message = f"{count} line{'s' if count > 1 else ''} of the log {'were' if count > 1 else 'was'} dropped: {why}"
        return self.form.format(logging.LogRecord("btcore", logging.WARNING, __file__, 0, message, None, None)) + "\n"


class LoggedStderr(io.TextIOBase):
    """Replaces `sys.stderr`: what plugins and libraries write there passes through the log."""

    def __init__(self, stream: TextIO | None, handler: LogHandler) -> None:
        """Send what is written to the queue of this handler."""
        self.stream = stream
        self._handler = handler
        self._rest = threading.local()

    @property
    def queue(self) -> LogQueue:
        """Where the lines go."""
        return self._handler.queue

    def message(self, text: str) -> str:
        """Return a message of the command line in the form of the log."""
        return self._handler.form.message(text)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Every character may be written."""
        return "utf-8"

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream that it replaces."""
        if self.stream is None:
            raise io.UnsupportedOperation("there is no stderr")
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Queue the complete lines; an incomplete one waits for its end, for each thread by itself."""
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        if len(rest) > MAX_MESSAGE:  # a line without end is several
            lines, rest = [*lines, rest], ""
        self._rest.text = rest
        for line in lines:
            self._queue(line)
        return len(text)

    def flush(self) -> None:
        """Return at once: a writer never waits."""

    def _queue(self, line: str) -> None:
        if self._handler.queue.accepts():
            self._handler.queue.put(self._handler.form.direct(line) + "\n")


def set_up(
    *, verbose: bool = False, quiet: bool = False, secrets: Iterable[str] = (), form: LogFormat = "text"
) -> Formatter:
    """Send the log of the program and its plugins to stderr; return the formatter: its `redact` is for all texts."""
    stream = sys.stderr.stream if isinstance(sys.stderr, LoggedStderr) else sys.stderr
    formatter = make_formatter(form, stream, secrets)
    handler = LogHandler(stream, formatter, None if verbose else RepeatLimit())
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, LogHandler):
            old.close()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    # direct writes to stderr pass through the log too, so that they show no secret and block no thread
    sys.stderr = LoggedStderr(stream, handler)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = _unraisable
    return formatter


def say(text: str) -> None:
    """Write a line for a person to stderr, after the queued log lines; wait a second at most."""
    queue = _queue()
    line = sys.stderr.message(text) if isinstance(sys.stderr, LoggedStderr) else plain(text)
    if queue.accepts(urgent=True):
        queue.put(f"{line}\n")
    queue.flush(FLUSH)


def _queue() -> LogQueue:
    """Return the queue that writes to stderr; without a log, one is made, and kept while stderr is the same."""
    if isinstance(sys.stderr, LoggedStderr):
        return sys.stderr.queue
    stream, queue = _stderr_queue[0] if _stderr_queue else (None, None)
    if queue is None or stream is not sys.stderr:
        if queue is not None:
            queue.close()
        queue = LogQueue(sys.stderr, _no_line)
        _stderr_queue[:] = [(sys.stderr, queue)]
    return queue


_stderr_queue: list[tuple[TextIO | None, LogQueue]] = []


def _no_line(_count: int, _why: str) -> str:
    return ""


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    exc_info = (kind, error, trace)
    logging.getLogger("btcore").critical("unexpected failure: this is a fault of the program", exc_info=exc_info)


def _unraisable(caught: "sys.UnraisableHookArgs") -> None:
    """Log what a finalizer raised: no code can catch it, and nothing else stops."""
    error = caught.exc_value or caught.exc_type()
    logging.getLogger("python").warning("%s", caught.err_msg or "ignored in a finalizer", exc_info=error)
