# SPDX-License-Identifier: GPL-3.0-or-later
"""Formatting of log lines: secrets redacted, control characters removed, length limited."""

import logging
import threading
from collections.abc import Callable, Iterable

from btcore.redaction import Redactor
from btcore.text import plain, shortened

MAX_MESSAGE = 4000
"""Characters of a message that are written."""

MAX_TRACE_LINES = 100
"""Lines of a traceback that are written: the first show where it began, the last show the exception."""

MAX_TRACE_LINE = 1000
"""Characters of a line of a traceback."""


class Formatter(logging.Formatter):
    """Formats records, and redacts secrets in all of the text: message, arguments and traceback."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        """Redact these secrets."""
        super().__init__(form)
        self.redact = Redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets, and below it those of a traceback, indented. Never raises."""
        line = self._line(record, message_of(record))
        details = self._details(record)
        return "\n".join([line, *(f"  {plain(shortened(detail, MAX_TRACE_LINE))}" for detail in details)])

    def message(self, text: str) -> str:
        """Return a message of the command line, without control characters."""
        return plain(text)

    def direct(self, text: str) -> str:
        """Return what was written to stderr past the log, without secrets."""
        return plain(shortened(self.redact(text), MAX_MESSAGE))

    def _line(self, record: logging.LogRecord, message: str) -> str:
        # a copy: what other handlers get stays as it is
        redacted = logging.makeLogRecord(record.__dict__)
        redacted.message = shortened(self.redact(message), MAX_MESSAGE)
        redacted.asctime = self.formatTime(record, self.datefmt)
        return plain(self.redact(self.formatMessage(redacted)))

    def _details(self, record: logging.LogRecord) -> list[str]:
        exc_info = record.exc_info if isinstance(record.exc_info, tuple) and record.exc_info[0] else None
        trace = text_or_error(lambda: self.formatException(exc_info)) if exc_info else ""
        texts = (text for text in (trace, record.stack_info) if text)
        lines = [line for text in texts for line in self.redact(text).split("\n")]
        if len(lines) > MAX_TRACE_LINES:
            left_out = len(lines) - MAX_TRACE_LINES
            lines[MAX_TRACE_LINES // 4 : -3 * MAX_TRACE_LINES // 4] = [f"... {left_out} lines left out ..."]
        return lines


def message_of(record: logging.LogRecord) -> str:
    """Return the formatted message; also where the arguments do not fit it, or one of them cannot be formatted."""
    try:
        return record.getMessage()
    except BaseException as error:  # noqa: BLE001 - a plugin's call, and its objects: no worker ends because of a log line
        _raise_break(error)
        message = text_or_error(lambda: str(record.msg))
        return f"{message} (not formatted: {type(error).__name__})"


def text_or_error(work: Callable[[], str]) -> str:
    """Return the text that a plugin's code makes, or the type of the exception that it raised."""
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 - see above
        _raise_break(error)
        return f"(not formatted: {type(error).__name__})"


def _raise_break(error: BaseException) -> None:
    """Raise what a signal raised; only the main thread gets it."""
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error
