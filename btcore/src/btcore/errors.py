# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions, typed by what to do about them: correct the configuration, wait, or stop.

An exception that is caught in the room that raises it does not belong here.
"""

import math
import threading
from collections.abc import Sequence

from btcore.classes import frozen


class BtcoreError(Exception):
    """The base class of the errors that btcore raises."""


class Retry(BtcoreError):
    """Raised by `process_batch`: the batch is not delivered, and may be accepted later.

    `after` is the delay in seconds that the service asks for; without it the core backs off. Raises TypeError or
    ValueError for an `after` that is not a number of seconds from 0 on.
    """

    def __init__(self, why: str, *, after: float | None = None) -> None:
        """Give the reason, for the log, and the delay that the service asks for."""
        super().__init__(_reason(self, why))
        if after is not None:
            if isinstance(after, bool) or not isinstance(after, int | float):
                raise TypeError(f"Retry: after: expected a number of seconds or None, found {after!r:.80}")
            if not 0 <= after < math.inf:  # nor NaN
                raise ValueError(f"Retry: after: expected a number of seconds from 0 on, found {after}")
        self.after = after


class Reject(BtcoreError):
    """Raised by `process_batch`: this batch, as it is, will never be accepted.

    The core halves the batch until it has found the rejected readings, keeps those as dead letters, and delivers the
    rest. `whole_batch` says that every part of the batch would be rejected for the same reason: then all of it becomes
    dead letters at once.
    """

    def __init__(self, why: str, *, whole_batch: bool = False) -> None:
        """Give the reason, for the log and the dead letters, and whether it is true of the entire batch."""
        super().__init__(_reason(self, why))
        if not isinstance(whole_batch, bool):
            raise TypeError(f"Reject: whole_batch: expected True or False, found {whole_batch!r:.80}")
        self.whole_batch = whole_batch


class Stop(BtcoreError):
    """Raised by `process_batch`: nothing will be accepted until a person acts (a wrong key, an account that expired).

    The core stops this one sink, logs an error, and keeps its readings for the restart.
    """

    def __init__(self, why: str) -> None:
        """Give the reason, and what the person has to do."""
        super().__init__(_reason(self, why))


class InvalidPluginResult(BtcoreError):
    """A plugin returned something invalid; the text names the plugin, what it returned, and what was expected."""


def _reason(error: BtcoreError, why: object) -> str:
    """Return the reason of an error that a plugin raises. Raises TypeError if it is not text."""
    if not isinstance(why, str):
        raise TypeError(f"{type(error).__name__}: expected the reason as text, found {why!r:.80}")
    return why


@frozen
class Problem:
    """One mistake in a configuration: where it is, and what to do about it. A `warning` does not prevent a run."""

    message: str
    key: str = ""
    table: str = ""
    line: int | None = None
    file: str = ""
    warning: bool = False

    def __str__(self) -> str:
        """One line: file:line: [table] key: message."""
        location = f"{self.file}:{self.line}" if self.line is not None else self.file
        where = " ".join(part for part in (f"[{self.table}]" if self.table else "", self.key) if part)
        return ": ".join(part for part in (location, where, self.message) if part)


class ConfigurationError(BtcoreError):
    """A configuration that cannot be used. `problems` has every mistake that was found, `warnings` all warnings."""

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        """Collect the problems; the text is one line for each."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class WrongUse(BtcoreError):
    """A command asks for what there is not (a sink of that name), or what is refused: correct the command."""


class Unavailable(BtcoreError):
    """Something that the program needs cannot be used now: a port or directory is in use, the disk is full."""


UPGRADED = "a part of btcore that was not needed before cannot be loaded: btcore was upgraded while it runs; restart it"
"""What to say where `is_upgraded`."""


def is_upgraded(error: BaseException) -> bool:
    """Whether a room of the core could not be imported with its first use: its file is not the one that was there."""
    return isinstance(error, ImportError) and (error.name or "").startswith("btcore.")


def is_interrupt(error: BaseException) -> bool:
    """Whether this is a person's Ctrl-C, which only the main thread gets; elsewhere it is a plugin's bug."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class JournalNotReady(Unavailable):
    """A journal cannot be opened now, but can once its disk has room, or may be written: who runs waits for that.

    `location` is where it is, as `Journal.location`.
    """

    def __init__(self, why: str, location: str = "") -> None:
        """Say why, and what a person has to do."""
        super().__init__(why)
        self.location = location


class JournalFull(Unavailable):
    """The journal has reached its maximum size, and can delete nothing: it accepts no new readings."""
