# SPDX-License-Identifier: GPL-3.0-or-later
"""The last warnings of the log, for a page that shows how a site is."""

import logging
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_WARNINGS = 50
MAX_TEXT = 500
"""The most warnings that are remembered, and characters of one."""


class RecentWarnings:
    """Remembers the last warnings and errors. Any thread may add one or ask."""

    def __init__(self) -> None:
        """Begin without any."""
        self._found: deque[Mapping[str, Any]] = deque(maxlen=MAX_WARNINGS)

    def add(self, record: logging.LogRecord, text: str) -> None:
        """Remember a record; `text` is its message, without secrets."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._found.append({"time": time, "from": record.name, "level": level, "text": text[:MAX_TEXT]})

    def all(self) -> list[Mapping[str, Any]]:
        """Return them, the newest first."""
        return [*reversed(self._found.copy())]


def recent_warnings() -> list[Mapping[str, Any]]:
    """Return the last warnings of this program's log, the newest first; none where its log is another one."""
    held = (getattr(handler, "recent", None) for handler in logging.getLogger().handlers)
    return next((one.all() for one in held if isinstance(one, RecentWarnings)), [])
