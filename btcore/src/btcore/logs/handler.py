"""The program's log: to stderr, one line an event. Whoever logs never waits for whoever reads.

A line is made in the thread that logs, with the values of that moment; `queue.py` writes it.
"""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TextIO

from btcore.logs.formatter import MAX_MESSAGE, Formatter, message_of
from btcore.logs.queue import LogQueue
from btcore.logs.repeat_limit import RepeatLimit
from btcore.text import plain, shortened

FLUSH = 1.0
"""Seconds that what is still queued may take when the program ends."""

FORM = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class LogHandler(logging.Handler):
    """Makes the lines, and queues them. `moderation` may leave some out."""

    def __init__(self, stream: TextIO | None, form: Formatter, repeat_limit: RepeatLimit | None = None) -> None:
        """Send lines to a stream."""
        super().__init__()
        self.setFormatter(form)
        self.form = form
        self.queue = LogQueue(stream, self._dropped, self._summarize)
        self._repeat_limit = repeat_limit

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record. Without logging's lock: an argument that takes long to be told holds up its own thread."""
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

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, or count it as dropped; what is dropped costs nothing."""
        if self.queue.accepts(urgent=record.levelno >= logging.WARNING):
            self.queue.put(self.form.format(record) + "\n")

    def flush(self) -> None:
        """Wait until everything is written, for a second at most."""
        self.queue.flush(FLUSH)

    def close(self) -> None:
        """Tell what was left out, and end."""
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
    """Stands in for `sys.stderr`: what plugins and libraries write there by themselves goes the way of the log."""

    def __init__(self, stream: TextIO | None, handler: LogHandler) -> None:
        """Take the lines of whoever writes."""
        self.stream = stream
        self._handler = handler
        self._rest = threading.local()

    @property
    def queue(self) -> LogQueue:
        """Where the lines go."""
        return self._handler.queue

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Every character may be written."""
        return "utf-8"

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of what is stood in for."""
        if self.stream is None:
            raise io.UnsupportedOperation("there is no stderr")
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Queue the lines that are whole; what is not waits for its end, each thread's by itself."""
        *lines, rest = (getattr(self._rest, "text", "") + text).split("\n")
        if len(rest) > MAX_MESSAGE:  # a line without end is several
            lines, rest = [*lines, rest], ""
        self._rest.text = rest
        for line in lines:
            self._queue(line)
        return len(text)

    def flush(self) -> None:
        """Nobody waits."""

    def _queue(self, line: str) -> None:
        if self._handler.queue.accepts():
            self._handler.queue.put(plain(shortened(self._handler.form.redact(line), MAX_MESSAGE)) + "\n")


def set_up(*, verbose: bool = False, quiet: bool = False, secrets: Iterable[str] = ()) -> Formatter:
    """Send the log of the program and its plugins to stderr; return what blanks out secrets, for other texts."""
    form = Formatter(FORM, secrets)
    stream = sys.stderr.stream if isinstance(sys.stderr, LoggedStderr) else sys.stderr
    handler = LogHandler(stream, form, None if verbose else RepeatLimit())
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, LogHandler):
            old.close()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    # what would go to stderr by itself goes through the log, so that it shows no secret either, and holds up nobody
    sys.stderr = LoggedStderr(stream, handler)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = _unraisable
    return form


def say(text: str) -> None:
    """Write a line for a person to stderr, behind what is still to be logged; wait a second at most."""
    queue = _queue()
    if queue.accepts(urgent=True):
        queue.put(f"{plain(text)}\n")
    queue.flush(FLUSH)


def _queue() -> LogQueue:
    """Return what writes to stderr now: where no log is set up, a queue is made, and kept for as long as it fits."""
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
    """Log what a finalizer raised: nobody can catch it, and nothing ends by it."""
    error = caught.exc_value or caught.exc_type()
    logging.getLogger("python").warning("%s", caught.err_msg or "ignored in a finalizer", exc_info=error)
