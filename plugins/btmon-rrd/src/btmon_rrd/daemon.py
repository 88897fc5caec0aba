# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that rrdcached writes: many updates in one batch, and none lost when it is restarted, killed or has no space.

rrdcached keeps updates in memory until it writes them, minutes later. Each is remembered here until it is in its file,
and sent again if the daemon lost it. How rrdcached is spoken to is in `rrdcached.py`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import attrs

from btcore import Retry, Stop
from btmon_rrd.feed import FileState
from btmon_rrd.rrdcached import MAX_LINE, Address, Answer, Connection, connect, escape, line
from btmon_rrd.store import EXISTS, Outdated, Updates, outcome, parse_info

MAX_UNWRITTEN = 90
"""Points of a file that may be remembered: after so many, rrdcached is made to write the files."""

AT_ONCE = 50
"""Files that rrdcached is made to write in one batch, so that this takes no longer than an answer may."""


@attrs.define(eq=False)
class DaemonStore:
    """Updates files through rrdcached."""

    address: Address
    timeout: float
    _connection: Connection | None = None
    _sent: list[Updates] = attrs.field(factory=list)
    """What rrdcached has taken, and what was not seen in the files yet."""
    _points: int = 0
    """How many points of a file that are, at most."""
    _is_unsure: bool = False
    """Whether a daemon that was started again may have lost some of it."""

    def open(self) -> None:
        """Connect. Raises Retry."""
        self._connected()

    def close(self) -> None:
        """Make rrdcached write what it has of our files, and close the connection."""
        for _ in range(2):  # it may have been started again since the last batch, and have lost something
            with suppress(Retry, Stop):  # what it does not write now it has in its own journal
                if self._sent:
                    self._ensure_written(self._connected())
                break
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def state(self, path: str) -> FileState | None:
        """Return how far a file is, once rrdcached has written it; None if there is none. Raises Retry or Stop."""
        return self._state(self._connected(), path)

    def create(self, path: str, start: int, step: int, definitions: Sequence[str]) -> None:
        """Create a file, unless it exists. Raises Retry or Stop."""
        command = ("CREATE", path, "-s", str(step), "-b", str(start), "-O", *definitions)
        answer = self._connected().command(*command)
        directory = Path(path).parent
        if answer.failed and self.address.path and not directory.exists():
            with suppress(OSError):  # the answer to the second try has the reason
                directory.mkdir(parents=True)
            answer = self._connected().command(*command)
        if answer.failed and EXISTS not in answer.text:
            problem = outcome(path, answer.text)
            raise Stop(f"{path} cannot be created ({answer.text})") if isinstance(problem, Outdated) else problem

    def update(self, updates: Updates) -> set[str]:
        """Send all points in one batch. Raises Retry or Stop."""
        connection = self._connected()
        errors = connection.batch([text for path, points in updates.items() for text in _commands(path, points)])
        outdated = _outdated(updates, errors) if errors else set()
        self._remember(
            {path: points for path, points in updates.items() if path not in outdated} if errors else updates
        )
        if self._points > MAX_UNWRITTEN:
            self._ensure_written(connection)
        return outdated

    def _remember(self, updates: Updates) -> None:
        self._sent.append(updates)
        self._points += max(updates.values(), key=len, default="").count(" ") + 1

    def _connected(self) -> Connection:
        """Return the connection; after a new one, send again what a daemon that was killed has lost."""
        if self._connection is None or self._connection.is_closed:
            self._connection = connect(self.address, self.timeout)
            self._is_unsure = bool(self._sent)
        if self._is_unsure:
            self._ensure_written(self._connection)
        return self._connection

    def _ensure_written(self, connection: Connection) -> None:
        """Make rrdcached write what it has taken; what it lost is sent again. Raises Retry or Stop."""
        paths = list(dict.fromkeys(path for updates in self._sent for path in updates))
        for first in range(0, len(paths), AT_ONCE):
            connection.batch([line("FLUSH", path) for path in paths[first : first + AT_ONCE]])
        for path in paths:
            points = " ".join(updates[path] for updates in self._sent if path in updates)
            self._ensure_file_written(connection, path, points)
        self._sent.clear()
        self._points, self._is_unsure = 0, False

    def _ensure_file_written(self, connection: Connection, path: str, points: str) -> None:
        """Look which points are in a file; have rrdcached forget what it has of the others, and send them again."""
        for _ in range(2):
            state = self._state(connection, path)
            lost = [] if state is None else [one for one in points.split() if int(one.partition(":")[0]) > state.last]
            if not lost:
                return
            connection.command("FORGET", path)
            connection.batch(_commands(path, " ".join(lost)))
        raise Retry(f"rrdcached at {self.address} does not write {path}: see its log; is its disk full?")

    def _state(self, connection: Connection, path: str) -> FileState | None:
        try:
            _check(path, connection.command("FLUSH", path))
            described = _check(path, connection.command("INFO", path))
        except Outdated:
            return None
        return parse_info(path, dict(map(_info_entry, described.lines)))


def _outdated(updates: Updates, errors: Mapping[int, str]) -> set[str]:
    """Return the files that are not where the sink thought, by the errors of a batch. Raises what else failed."""
    paths = [path for path, points in updates.items() for _ in _commands(path, points)]
    found = set()
    for index, error in errors.items():
        path = paths[index] if index < len(paths) else "a file"
        problem = outcome(path, error)
        if not isinstance(problem, Outdated):
            raise problem
        found.add(path)
    return found


def _check(path: str, answer: Answer) -> Answer:
    """Return an answer. Raises what its error means."""
    if answer.failed:
        raise outcome(path, answer.text)
    return answer


def _info_entry(text: str) -> tuple[str, str]:
    """Read a line of INFO: a key, the type of its value, and the value."""
    key, _, rest = text.partition(" ")
    return key, rest.partition(" ")[2]


def _commands(path: str, points: str) -> Sequence[str]:
    """Return the commands that update a file, none too long for rrdcached."""
    start, most = _start(path)
    commands = []
    while len(points) > most:
        end = points.rindex(" ", 0, most)
        commands.append(f"{start}{points[:end]}\n")
        points = points[end + 1 :]
    commands.append(f"{start}{points}\n")
    return commands


@lru_cache(maxsize=4096)
def _start(path: str) -> tuple[str, int]:
    """Return the beginning of an update of a file, and how many bytes of points may follow."""
    start = f"UPDATE {escape(path)} "
    return start, MAX_LINE - len(start.encode()) - 1
