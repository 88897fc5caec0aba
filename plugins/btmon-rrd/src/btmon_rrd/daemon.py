"""Files that rrdcached writes: many updates in one batch, and none lost when it is restarted, killed or has no space.

rrdcached keeps updates in memory until it writes them, minutes later. Each is remembered here until it is in its file,
and sent again if the daemon lost it. How rrdcached is spoken to is in `rrdcached.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from btcore import Retry, Stop
from btmon_rrd.feed import FileState
from btmon_rrd.rrdcached import MAX_LINE, Address, Answer, Connection, connect, line
from btmon_rrd.store import EXISTS, Outdated, Updates, outcome, parse_info

MAX_UNWRITTEN = 90
"""Points of a file that may be remembered: after so many, rrdcached is made to write the file."""


@attrs.define(eq=False)
class DaemonStore:
    """Updates files through rrdcached."""

    address: Address
    timeout: float
    _connection: Connection | None = None
    _unwritten: dict[str, list[str]] = attrs.field(factory=dict)
    """The points that rrdcached has taken, and that were not seen in a file yet, by its path."""
    _unsure: list[str] = attrs.field(factory=list)
    """The files of which a daemon that was started again may have lost something."""

    def open(self) -> None:
        """Connect. Raises Retry."""
        self._connected()

    def close(self) -> None:
        """Make rrdcached write what it has of our files, and close the connection."""
        for _ in range(2):  # it may have been started again since the last batch, and have lost something
            if not self._unwritten:
                break
            with suppress(Retry, Stop):  # what it does not write now it has in its own journal
                self._connected().batch([line("FLUSH", path) for path in self._unwritten])
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
        commands = [(path, text) for path, points in updates.items() for text in _commands(path, points)]
        errors = connection.batch([text for _, text in commands])
        outdated = set()
        for index, error in errors.items():
            path = commands[index][0] if index < len(commands) else ""
            problem = outcome(path, error)
            if not isinstance(problem, Outdated):
                raise problem
            outdated.add(path)
        for path, points in updates.items():
            if path not in outdated:
                self._unwritten.setdefault(path, []).extend(points)
        for path in [path for path, points in self._unwritten.items() if len(points) > MAX_UNWRITTEN]:
            self._ensure_written(connection, path)
        return outdated

    def _connected(self) -> Connection:
        """Return the connection; after a new one, send again what a daemon that was killed has lost."""
        if self._connection is None or self._connection.is_closed:
            self._connection = connect(self.address, self.timeout)
            self._unsure = list(self._unwritten)
        while self._unsure:
            self._ensure_written(self._connection, self._unsure[-1])
            self._unsure.pop()
        return self._connection

    def _ensure_written(self, connection: Connection, path: str) -> None:
        """Make rrdcached write a file; if it did not write all, have it forget what it has, and send that again."""
        for _ in range(2):
            if self._state(connection, path) is None or not self._unwritten[path]:
                del self._unwritten[path]
                return
            connection.command("FORGET", path)
            connection.batch(list(_commands(path, self._unwritten[path])))
        raise Retry(f"rrdcached at {self.address} does not write {path}: see its log; is its disk full?")

    def _state(self, connection: Connection, path: str) -> FileState | None:
        try:
            _check(path, connection.command("FLUSH", path))
            described = _check(path, connection.command("INFO", path))
        except Outdated:
            return None
        state = parse_info(path, dict(map(_info_entry, described.lines)))
        self._forget_written(path, state.last)
        return state

    def _forget_written(self, path: str, last: int) -> None:
        if path in self._unwritten:
            self._unwritten[path] = [point for point in self._unwritten[path] if int(point.partition(":")[0]) > last]


def _check(path: str, answer: Answer) -> Answer:
    """Return an answer. Raises what its error means."""
    if answer.failed:
        raise outcome(path, answer.text)
    return answer


def _info_entry(text: str) -> tuple[str, str]:
    """Read a line of INFO: a key, the type of its value, and the value."""
    key, _, rest = text.partition(" ")
    return key, rest.partition(" ")[2]


def _commands(path: str, points: Sequence[str]) -> Iterator[bytes]:
    """Return the commands that update a file, none too long for rrdcached."""
    start, length = 0, 0
    for index, point in enumerate(points):
        length += len(point) + 1
        if length > MAX_LINE - len(line("UPDATE", path)):
            yield line("UPDATE", path, *points[start:index])
            start, length = index, len(point) + 1
    yield line("UPDATE", path, *points[start:])
