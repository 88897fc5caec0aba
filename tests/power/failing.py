# SPDX-License-Identifier: GPL-3.0-or-later
"""A program with a journal whose disk fails: `python tests/power/failing.py NAME FILE`, with the recorder preloaded.

It prints, as JSON, what was acknowledged and what was told, and then ends as a program does that is killed.
"""

import errno
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

import attrs
from power.recorder import Recorder

from btcore.errors import Unavailable
from btcore.journal import Checkpoint, Entry, retry
from btcore.sources.write_queue import WriteQueue
from btcore.sqlite_journal import mending
from btcore.sqlite_journal.journal import SqliteJournal

LONGEST = 20.0
"""Seconds to wait for what must come."""


@attrs.define
class Program:
    """What runs: a journal, and what it has acknowledged and told."""

    file: Path
    recorder: Recorder = attrs.field(factory=Recorder)
    kept: list[int] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    damages: list[str] = attrs.field(factory=list)
    key: int = 0

    def open(self, *, always: bool) -> SqliteJournal:
        """Open the journal; from now on its disk can fail."""
        self.recorder.watch(self.file.parent)
        return SqliteJournal(self.file, always_sync=always)

    def entry(self) -> Entry:
        """Make another entry."""
        self.key += 1
        return Entry(self.key, "panel", "311111", "ecm1220bin", os.urandom(300))

    def append(self, journal: SqliteJournal, count: int) -> None:
        """Append entries one by one."""
        for _ in range(count):
            self.try_to(lambda: self.kept.extend(one.key for one in journal.append([self.entry()]).kept))

    def try_to(self, do: Callable[[], object]) -> None:
        """Do something that may be unavailable."""
        try:
            do()
        except Unavailable as error:
            self.errors.append(str(error))

    def report(self) -> None:
        """Say what was acknowledged and told, and end at once."""
        told = {"kept": self.kept, "errors": self.errors, "damages": self.damages}
        sys.stdout.write(json.dumps(told))
        sys.stdout.flush()
        os._exit(0)


def fail_to(call: str, suffix: str = "") -> Callable[[Program], None]:
    """Return a scenario: one kind of call fails on files whose name ends so, and works again later."""

    def scenario(program: Program) -> None:
        journal = program.open(always=True)
        program.append(journal, 20)
        program.try_to(lambda: journal.commit("sink.roof", Checkpoint(10)))
        program.recorder.fail(call, suffix, errno.EIO)
        program.append(journal, 10)
        program.try_to(lambda: program.damages.extend(one.text for one in journal.inspect()))
        program.try_to(lambda: list(journal.check()))
        program.recorder.heal()
        program.append(journal, 10)

    return scenario


def read_fails(program: Program, *, times: int) -> None:
    """Let the disk fail to read the file so many times."""
    journal = program.open(always=False)
    for _ in range(10):
        program.kept += [one.key for one in journal.append([program.entry() for _ in range(300)]).kept]
    journal.close()
    journal = program.open(always=False)
    program.recorder.fail("read", "journal.db", errno.EIO, times=times)
    for _ in range(times):
        program.try_to(lambda: journal.read(0, 5000))
    program.recorder.heal()
    mending.RETRY = 0.0
    program.damages += [one.text for one in journal.inspect()]
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        program.damages += [one.text for one in journal.inspect()]
        try:
            found = journal.read(0, 5000)
        except Unavailable:
            continue
        assert {one.key for one in found} == {*program.kept}
        break
    program.append(journal, 5)


def readings_wait(program: Program) -> None:
    """Let nothing be written for a while; a source goes on all the time."""
    retry.FIRST, retry.LONGEST = 0.001, 0.01
    journal = program.open(always=False)
    stop = Event()
    queue = WriteQueue("panel", journal, logging.getLogger("btcore"), stop)
    queue.start()
    program.recorder.fail("write", "", errno.EROFS)
    sent = [program.entry() for _ in range(200)]
    for entry in sent:
        queue.put([entry])
    failure = queue.failure_now
    program.errors += [failure.text if failure else ""]
    program.damages += [f"{queue.waiting} wait"]
    program.recorder.heal()
    queue.flush()
    program.kept += [entry.key for entry in sent]


SCENARIOS: Mapping[str, Callable[[Program], None]] = {
    "write": fail_to("write"),
    "write-tail": fail_to("write", "-tail"),
    "write-log": fail_to("write", "-wal"),
    "sync": fail_to("sync"),
    "sync-tail": fail_to("sync", "-tail"),
    "sync-log": fail_to("sync", "-wal"),
    "read": lambda program: read_fails(program, times=3),
    "readings-wait": readings_wait,
}


def main(name: str, file: str) -> None:
    """Do it."""
    program = Program(Path(file))
    SCENARIOS[name](program)
    program.report()


if __name__ == "__main__":
    main(*sys.argv[1:])
