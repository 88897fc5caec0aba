# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of the log: for a file, for a terminal, for the journal of systemd, and as JSON for a program.

What a line says, and what is redacted in it, is decided in `formatter.py`.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

from btcore.logs.formatter import MAX_MESSAGE, Formatter, message_of
from btcore.text import plain, shortened

LogFormat = Literal["text", "json"]

FORM = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
UNTIMED_FORM = "%(levelname)-7s %(name)s: %(message)s"
"""The same where the time is added by whoever reads it."""

RESET = "\x1b[0m"
COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
"""The colours of the levels, as terminals know them; INFO has none."""

PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""The priorities of syslog(3), by the levels."""

ERROR_PRIORITY = PRIORITIES[logging.ERROR]


class ColourFormatter(Formatter):
    """Lines for a terminal: the level has a colour."""

    def _line(self, record: logging.LogRecord, message: str) -> str:
        line, level = super()._line(record, message), f"{record.levelname:<7}"
        colour = COLOURS.get(record.levelno)
        return line.replace(level, f"{colour}{level}{RESET}", 1) if colour else line


class JournalFormatter(Formatter):
    """Lines for the journal of systemd: each begins with its priority (sd-daemon(3)), and has no time."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        priority = PRIORITIES.get(record.levelno, PRIORITIES[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).split("\n"))

    def message(self, text: str) -> str:
        """Return a message of the command line: an error."""
        return f"<{ERROR_PRIORITY}>{super().message(text)}"


class JsonFormatter(Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, and `details` if there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a record."""
        when = datetime.fromtimestamp(record.created, UTC)
        details = self._details(record)
        return self._object(when, record.levelname, record.name, message_of(record), details)

    def message(self, text: str) -> str:
        """Return a message of the command line: an error."""
        return self._object(datetime.now(UTC), "ERROR", "btcore", text)

    def direct(self, text: str) -> str:
        """Return what was written to stderr past the log."""
        return self._object(datetime.now(UTC), "INFO", "stderr", text)

    def _object(self, when: datetime, level: str, logger: str, text: str, details: Iterable[str] = ()) -> str:
        record: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "logger": self.redact(logger),
            "message": shortened(self.redact(text), MAX_MESSAGE),
        }
        lines = [plain(line) for line in details]
        return json.dumps({**record, **({"details": lines} if lines else {})})


def make_formatter(
    form: LogFormat, stream: TextIO | None, secrets: Iterable[str], environment: Mapping[str, str] = os.environ
) -> Formatter:
    """Return the formatter for a stream."""
    if form == "json":
        return JsonFormatter(FORM, secrets)
    if is_journal(stream, environment):
        return JournalFormatter(UNTIMED_FORM, secrets)
    return ColourFormatter(FORM, secrets) if has_colours(stream, environment) else Formatter(FORM, secrets)


def is_journal(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Whether a stream is the one that systemd has connected to its journal, as JOURNAL_STREAM says."""
    try:
        status = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError):
        return False
    return status is not None and environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def has_colours(stream: TextIO | None, environment: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours, and NO_COLOR (no-color.org) does not forbid them."""
    try:
        is_terminal = stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
