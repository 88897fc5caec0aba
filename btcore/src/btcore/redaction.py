"""Lines of the log as they leave: every secret blanked out, nothing that steers a terminal, and no line without end."""

import base64
import html
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from btcore.text import plain, shortened

SHORTEST_SECRET = 4
"""A shorter text would blank out half of the log, and protects nothing."""

MOST_MESSAGE = 4000
"""Characters of a message that are written."""

MOST_TRACE = 100
"""Lines of a traceback that are written: the first of them tell where it began, the last what it is."""

MOST_LINE = 1000
"""Characters of a line of a traceback."""


class Redaction(logging.Formatter):
    """Formats records, and replaces secrets in whatever comes out: message, arguments and traceback."""

    def __init__(self, form: str, secrets: Iterable[str]) -> None:
        """Blank out these texts, and what they look like in an address, in JSON or in a header; the longest first."""
        super().__init__(form)
        known = {way for text in secrets if len(text) >= SHORTEST_SECRET for way in _ways(text)}
        self._secrets = sorted(known, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without secrets, and below it those of a traceback, indented. Never raises."""
        line = self._line(record, message_of(record))
        details = self._details(record)
        return "\n".join([line, *(f"  {plain(shortened(detail, MOST_LINE))}" for detail in details)])

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _line(self, record: logging.LogRecord, message: str) -> str:
        # a copy: what other handlers get stays as it is
        shown = logging.makeLogRecord(record.__dict__)
        shown.message = shortened(self.redact(message), MOST_MESSAGE)
        shown.asctime = self.formatTime(record, self.datefmt)
        return plain(self.redact(self.formatMessage(shown)))

    def _details(self, record: logging.LogRecord) -> list[str]:
        exc_info = record.exc_info if isinstance(record.exc_info, tuple) and record.exc_info[0] else None
        trace = guarded(lambda: self.formatException(exc_info)) if exc_info else ""
        texts = (text for text in (trace, record.stack_info) if text)
        lines = [line for text in texts for line in self.redact(text).split("\n")]
        if len(lines) > MOST_TRACE:
            left_out = len(lines) - MOST_TRACE
            lines[MOST_TRACE // 4 : -3 * MOST_TRACE // 4] = [f"... {left_out} lines left out ..."]
        return lines


def message_of(record: logging.LogRecord) -> str:
    """Return how a message reads; also where it does not fit its arguments, or one of them cannot be told."""
    try:
        return record.getMessage()
    except BaseException as error:  # noqa: BLE001 - a plugin's call, and its objects: no worker dies of a line of the log
        _raise_break(error)
        message = guarded(lambda: str(record.msg))
        return f"{message} (not formatted: {type(error).__name__})"


def guarded(work: Callable[[], str]) -> str:
    """Return a text that a stranger's code makes, or the kind of exception that it raised."""
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 - see above
        _raise_break(error)
        return f"(cannot be told: {type(error).__name__})"


def _raise_break(error: BaseException) -> None:
    """Pass on what a signal raises, which it does in the main thread alone."""
    if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
        raise error


def _ways(secret: str) -> Iterator[str]:
    """Yield how a secret may be written in a log."""
    yield secret
    # a traceback's lines may be indented: each line of a secret is one
    yield from (line for line in re.split(r"[\r\n]+", secret) if len(line.strip()) >= SHORTEST_SECRET)
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret))
    yield from (repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    data = secret.encode()
    for before in range(3):  # as in a header that has the user's name before it: three ways to fall on base64's groups
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:last]
