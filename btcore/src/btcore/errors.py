"""Exceptions, few, and typed by what the one who meets them must do: mend the configuration, wait, or give up.

What does not belong here: an exception that is caught where it is raised.
"""

import math
import threading
from collections.abc import Sequence

import attrs


class BtcoreError(Exception):
    """Anything that btcore raises on purpose."""


class Retry(BtcoreError):
    """Raised by `process_batch`: not delivered now, the same batch may be accepted later.

    `after` is the service's own delay in seconds, where it names one; without it the core backs off by itself. Raises
    TypeError or ValueError for an `after` that is no number of seconds from 0 on.
    """

    def __init__(self, why: str, *, after: float | None = None) -> None:
        """Say why, for the log, and how long the service wants to be left alone."""
        super().__init__(_reason(self, why))
        if after is not None:
            if isinstance(after, bool) or not isinstance(after, int | float):
                raise TypeError(f"Retry: after: expected a number of seconds or None, found {after!r:.80}")
            if not 0 <= after < math.inf:  # nor NaN
                raise ValueError(f"Retry: after: expected a number of seconds from 0 on, found {after}")
        self.after = after


class Reject(BtcoreError):
    """Raised by `process_batch`: this batch, as it is, will never be accepted.

    The core halves the batch until what is refused stands alone, sets that aside, and delivers the rest. `whole` says
    that every part of the batch would be refused for the same reason: then all of it is set aside at once.
    """

    def __init__(self, why: str, *, whole_batch: bool = False) -> None:
        """Say why, for the log and beside what is set aside, and of how much it is true."""
        super().__init__(_reason(self, why))
        if not isinstance(whole_batch, bool):
            raise TypeError(f"Reject: whole_batch: expected True or False, found {whole_batch!r:.80}")
        self.whole_batch = whole_batch


class Stop(BtcoreError):
    """Raised by `process_batch`: nothing will be accepted until a person acts (a wrong key, an account that expired).

    The core parks this one sink, says so loudly, and keeps its readings for the restart.
    """

    def __init__(self, why: str) -> None:
        """Say why, and what the person has to do."""
        super().__init__(_reason(self, why))


class InvalidPluginResult(BtcoreError):
    """A plugin handed over what it must not; the text names the plugin, what it did, and what was expected."""


def _reason(error: BtcoreError, why: object) -> str:
    """Return the text of an error that a plugin makes. Raises TypeError for anything else."""
    if not isinstance(why, str):
        raise TypeError(f"{type(error).__name__}: expected the reason, as text, found {why!r:.80}")
    return why


@attrs.frozen
class Problem:
    """One mistake in a configuration: where it is, and what to do about it. A `warning` is no mistake, but told."""

    message: str
    key: str = ""
    table: str = ""
    line: int | None = None
    file: str = ""
    warning: bool = False

    def __str__(self) -> str:
        """One line: file:line: [table] key: message."""
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        where = " ".join(part for part in (f"[{self.table}]" if self.table else "", self.key) if part)
        return ": ".join(part for part in (place, where, self.message) if part)


class ConfigurationError(BtcoreError):
    """A configuration that cannot be used. `problems` holds every mistake that was found, not only the first.

    `warnings` is what is no mistake, and is told as well.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        """Collect the problems; the text is one line for each."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class Unavailable(BtcoreError):
    """Something that the program needs is not to be had now: a state directory in use, a port taken, a full disk."""


def is_interrupt(error: BaseException) -> bool:
    """Whether this is a person's Ctrl-C, which only the main thread gets: anything else is the fault of who raised."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class JournalFull(Unavailable):
    """The journal has come to its bound in bytes, and holds nothing that may be forgotten: it takes no new readings."""
