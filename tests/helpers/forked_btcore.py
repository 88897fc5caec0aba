# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore run again and again, without the time that Python takes to start: each run is forked off a process that waits.

As a program, it is that process. It imports btcore and the plugins of a configuration. Then it answers each line of its
input with the number of a new process that is `btcore run`, and with the exit status of that when it has ended.
"""

import gc
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Self

import attrs

from btcore.cli import program
from btcore.config.load import load_site

POLL = 0.0005
"""Seconds after which it is looked again whether something has happened."""


@attrs.frozen
class Run:
    """One run, which must not end by itself: an assertion fails where it does."""

    number: int
    _answers: IO[bytes]

    def wait(self, seconds: float) -> None:
        """Let it go on for so many seconds."""
        ended = select.select([self._answers], [], [], seconds)[0]
        assert not ended, f"btcore ended by itself, with {self._answers.readline()!r}"

    def wait_for_change(self, state: Callable[[], object], patience: float) -> None:
        """Let it go on until a state has changed; at most for so many seconds."""
        before, polls = state(), round(patience / POLL)
        while polls and state() == before:
            self.wait(POLL)
            polls -= 1

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.number, signal.SIGKILL)
        assert int(self._answers.readline()) == -signal.SIGKILL


class ForkedBtcore:
    """The process that waits, in the folder of a `site.toml`; started by `with`."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end."""
        self._process.communicate()

    @contextmanager
    def run(self) -> Iterator[Run]:
        """Run btcore while the block runs, and kill it at the end of that, whatever it is at."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        run = Run(int(self._process.stdout.readline()), self._process.stdout)
        yield run
        run.kill()


def serve() -> None:
    """Fork a run for each line of the input, until that ends."""
    load_site(Path("site.toml"))
    import_module("btcore.cli.run")
    import_module("requests")  # plugins import it when they are opened

    gc.freeze()  # what is here already is not collected, so that its memory stays shared
    while sys.stdin.readline():
        number = os.fork()
        if not number:
            run()
        print(number, flush=True)  # noqa: T201 - the answer
        print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)  # noqa: T201 - the answer


def run() -> None:
    """Be `btcore run`, with its log where `BtcoreProcess` has it."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number, file in enumerate((nowhere, nowhere, log)):
        os.dup2(file, number)
    sys.argv = ["btcore", "run", "--config", "site.toml"]
    program()


if __name__ == "__main__":
    serve()
