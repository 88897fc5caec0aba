# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of what goes wrong with decoders: each fault once, however often it comes.

Where it goes wrong, and what is done about it, is decided in `decoder.py` and `decoders.py`.
"""

import logging
import traceback

from btcore.errors import is_interrupt
from btcore.text import describe_error

MAX_FAULTS = 100
"""Different faults that are reported and remembered; after that many, a worker's log has enough of them."""


class FaultReports:
    """Logs each fault of one worker's decoders once."""

    def __init__(self, log: logging.Logger) -> None:
        """Begin with no fault reported."""
        self._log = log
        self._reported: set[object] = set()

    def error(self, error: BaseException, what: str, key: object) -> None:
        """Log an exception of a plugin, once for its type and the line that raised it. An interrupt is raised again."""
        if is_interrupt(error):
            raise error
        frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
        if self._is_new((key, type(error), frame.f_code.co_filename, line)):
            self._log.error("%s: %s", what, describe_error(error), exc_info=error)

    def warning(self, text: str, key: object) -> None:
        """Log a text, once for this key."""
        if self._is_new(key):
            self._log.warning("%s", text)

    def _is_new(self, key: object) -> bool:
        if key in self._reported or len(self._reported) >= MAX_FAULTS:
            return False
        self._reported.add(key)
        return True
