# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated disk with the files of one directory, and what a power cut leaves of them: values to values.

What POSIX promises, and no more: what was written to a file is on the disk when the file was synced; that a name is
there, or gone, is when the directory was. All else may be there or not, in any order: whole, in part, or not at all.
A sector (512 bytes) is never half written. It holds what the file had there at some moment since it was synced.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random

import attrs
from power.operations import CREATED, EMPTIED, Kind, Operation

SECTOR = 512
PAGE = 4096

Sectors = dict[int, list[tuple[int, bytes]]]
"""By number: what a sector had since it was synced, oldest first, each with the number of the operation."""


@attrs.define(eq=False)
class File:
    """A file: what is on the disk, and what was written since, each with the number of the operation."""

    synced: bytes = b""
    current: bytearray = attrs.field(factory=bytearray)
    changes: list[tuple[int, Operation]] = attrs.field(factory=list)

    def change(self, number: int, operation: Operation) -> None:
        """Write to it, or cut it."""
        self.changes.append((number, operation))
        _do(self.current, operation)

    def sync(self) -> None:
        """Bring all to the disk."""
        self.synced, self.changes = bytes(self.current), []

    def versions(self) -> tuple[Sectors, list[tuple[int, int]]]:
        """Return what each sector that was written to may have, and which sizes the file may have."""
        content, sectors, sizes = bytearray(self.synced), Sectors(), [(-1, len(self.synced))]
        for number, operation in self.changes:
            begin, end = _reach(operation, len(content))
            for at in range(begin // SECTOR, -(-end // SECTOR)):
                sectors.setdefault(at, [(-1, bytes(content[at * SECTOR : (at + 1) * SECTOR]))])
            _do(content, operation)
            for at in range(begin // SECTOR, -(-end // SECTOR)):
                sectors[at].append((number, bytes(content[at * SECTOR : (at + 1) * SECTOR])))
            if len(content) != sizes[-1][1]:
                sizes.append((number, len(content)))
        return sectors, sizes


def _do(content: bytearray, operation: Operation) -> None:
    at, data = operation.number, operation.data
    if operation.kind is Kind.TRUNCATE:
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(at + len(data) - len(content), 0)))
    content[at : at + len(data)] = data


def _reach(operation: Operation, size: int) -> tuple[int, int]:
    """Return the beginning and the end of what an operation changes of a file."""
    at = operation.number
    return (min(at, size), size) if operation.kind is Kind.TRUNCATE else (at, at + len(operation.data))


@attrs.frozen
class NameChange:
    """A name that was given to a file, or taken away; `old` is the name that it had before. No file: it is removed."""

    number: int
    name: str
    file: File | None
    old: str = ""

    def do(self, names: dict[str, File]) -> None:
        """Do it, as far as it can be."""
        if self.file is None:
            names.pop(self.name, None)
            return
        if names.get(self.old) is self.file:
            del names[self.old]
        names[self.name] = self.file


@attrs.define
class Counts:
    """What power cuts left out: sectors that were dropped, that were newer than others, and writes that were torn."""

    dropped: int = 0
    reordered: int = 0
    torn: int = 0
    names: int = 0

    def add(self, other: "Counts") -> None:
        """Add what others left out."""
        for field in attrs.fields(Counts):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@attrs.define
class Disk:
    """The files of one directory. `is_lying`: it says that it has synced a file, and has not."""

    names: dict[str, File] = attrs.field(factory=dict)
    synced_names: dict[str, File] = attrs.field(factory=dict)
    changes: list[NameChange] = attrs.field(factory=list)
    open: dict[int, File | None] = attrs.field(factory=dict)
    number: int = 0
    is_lying: bool = False

    def do(self, operation: Operation) -> None:
        """Do what was recorded."""
        self.number += 1
        match operation.kind:
            case Kind.OPEN:
                self._open(operation)
            case Kind.CLOSE:
                del self.open[operation.descriptor]
            case Kind.WRITE | Kind.TRUNCATE:
                if file := self.open[operation.descriptor]:
                    file.change(self.number, operation)
            case Kind.SYNC if not self.is_lying:
                self._sync(self.open[operation.descriptor])
            case Kind.RENAME:
                old, new = operation.names
                self._rename(NameChange(self.number, new, self.names[old], old))
            case Kind.REMOVE:
                self._rename(NameChange(self.number, operation.name, None))

    def _open(self, operation: Operation) -> None:
        name = operation.name
        if not name:  # the directory
            self.open[operation.descriptor] = None
            return
        if operation.number & CREATED:
            self._rename(NameChange(self.number, name, File()))
        file = self.open[operation.descriptor] = self.names[name]
        if operation.number & EMPTIED and file.current:
            file.change(self.number, attrs.evolve(operation, kind=Kind.TRUNCATE, number=0, data=b""))

    def _rename(self, change: NameChange) -> None:
        self.changes.append(change)
        change.do(self.names)

    def _sync(self, file: File | None) -> None:
        if file is None:
            self.synced_names, self.changes = dict(self.names), []
        else:
            file.sync()

    def write_back(self) -> None:
        """Bring all to the disk, as the system does now and then."""
        self._sync(None)
        for file in self.names.values():
            file.sync()

    def close_all(self) -> None:
        """Have nothing open any more: the program is dead."""
        self.open = {}

    def has_to_lose(self) -> bool:
        """Whether a power cut now would leave another disk than a kill."""
        return bool(self.changes) or any(file.changes for file in self.names.values())


Choose = Callable[[File | None, int, list[int]], int]
"""Of which of these operations is what is left: of a file (None: the names), and of a page of it (-1: its size)."""


def cut(disk: Disk, style: str, random: Random, counts: Counts) -> dict[str, bytes]:
    """Return the files that a power cut now leaves. `style` is one of `STYLES`."""
    choose = STYLES[style](disk, random)
    return {
        name: _left(file, choose, random if style in TEARING else None, counts)
        for name, file in sorted(_names_left(disk, choose, counts).items())
    }


def _names_left(disk: Disk, choose: Choose, counts: Counts) -> dict[str, File]:
    names = dict(disk.synced_names)
    for change in disk.changes:
        if choose(None, 0, [-1, change.number]) >= 0:
            change.do(names)
        else:
            counts.names += 1
    return names


def _left(file: File, choose: Choose, tearing: Random | None, counts: Counts) -> bytes:
    """Return what is left of a file. With `tearing`, each sector has its own moment, else each page."""
    sectors, sizes = file.versions()
    content = bytearray(file.synced)
    by_page: dict[int, int] = {}
    oldest = min((number for number, _ in file.changes), default=0)
    for at, versions in sorted(sectors.items()):
        page = at * SECTOR // PAGE
        numbers = [number for number, _ in versions]
        if page not in by_page:
            by_page[page] = choose(file, page, numbers)
        elif tearing is not None and tearing.random() < TORN:
            by_page[page] = choose(file, page, numbers)
            counts.torn += 1
        number, data = max((one for one in versions if one[0] <= by_page[page]), default=versions[0])
        counts.dropped += number < numbers[-1]
        counts.reordered += number > oldest and number < numbers[-1]
        content.extend(bytes(max(at * SECTOR + len(data) - len(content), 0)))
        content[at * SECTOR : at * SECTOR + len(data)] = data
    moment = choose(file, -1, [number for number, _ in sizes])
    size = max(one for one in sizes if one[0] <= moment)[1]
    return bytes(content[:size]) + bytes(max(size - len(content), 0))


TORN = 0.3
"""How many of the sectors of a page are of another moment than the one before, where pages are torn."""


def _all(_disk: Disk, _random: Random) -> Choose:
    return lambda _file, _page, numbers: numbers[-1]


def _none(_disk: Disk, _random: Random) -> Choose:
    return lambda _file, _page, numbers: numbers[0]


def _first(disk: Disk, random: Random) -> Choose:
    """Leave what was done up to some moment, of all files the same."""
    pending = sorted({*_numbers(disk)})
    moment = random.choice(pending) if pending else 0
    return lambda _file, _page, numbers: max(number for number in numbers if number <= moment or number < 0)


def _torn(disk: Disk, random: Random) -> Choose:
    """Leave what was done up to some moment, and some sectors of what was done then."""
    pending = sorted({*_numbers(disk)})
    moment = random.choice(pending) if pending else 0

    def choose(_file: File | None, _page: int, numbers: list[int]) -> int:
        limit = moment - random.randrange(2)
        return max(number for number in numbers if number <= limit or number < 0)

    return choose


def _any(_disk: Disk, random: Random) -> Choose:
    """Leave each page, each size and each name as of any moment."""
    return lambda _file, _page, numbers: random.choice(numbers)


def _mostly(_disk: Disk, random: Random) -> Choose:
    """Leave nearly all, or nearly nothing."""
    share = random.choice((0.02, 0.1, 0.5, 0.9, 0.98))

    def choose(_file: File | None, _page: int, numbers: list[int]) -> int:
        return numbers[-1] if random.random() < share else random.choice(numbers[:-1] or numbers)

    return choose


def _files(disk: Disk, random: Random) -> Choose:
    """Leave of each file all or nothing, and of the names what was done up to some moment."""
    left: dict[int, bool] = {id(file): random.random() < 0.5 for file in disk.names.values()}
    moment = random.choice([-1, *(change.number for change in disk.changes)])

    def choose(file: File | None, _page: int, numbers: list[int]) -> int:
        if file is None:
            return max(number for number in numbers if number <= moment or number < 0)
        return numbers[-1] if left.get(id(file)) else numbers[0]

    return choose


def _numbers(disk: Disk) -> Iterator[int]:
    yield from (change.number for change in disk.changes)
    for file in disk.names.values():
        yield from (number for number, _ in file.changes)


STYLES: Mapping[str, Callable[[Disk, Random], Choose]] = {
    "kill": _all,
    "dropped": _none,
    "first": _first,
    "torn": _torn,
    "any page": _any,
    "any sector": _any,
    "mostly": _mostly,
    "files": _files,
}
"""What is left of what was not synced: all (a kill, not a power cut), nothing, or one of many ways between."""

TEARING = frozenset({"any sector", "mostly", "torn"})
