# SPDX-License-Identifier: GPL-3.0-or-later
"""How far an import is: a bar on a terminal, lines in a log."""

import io
import logging

import pytest

from btcore import ImportProgress
from btcore.logs.repeat_limit import FIRST_OF_CORE

log = logging.getLogger("source.old")


class Terminal(io.StringIO):
    """A terminal that keeps what is written on it."""

    def isatty(self) -> bool:
        """Return True: it is one."""
        return True


def progress(clock: list[float], out: io.StringIO) -> ImportProgress:
    """Make the progress of an import of 3000 rows."""
    return ImportProgress(3000, log, "reading old.db", out=out, clock=lambda: clock[0])


def test_a_terminal_has_a_bar() -> None:
    """The bar has rows, rate and time left; it is drawn at most twice a second, on one line."""
    clock, terminal = [0.0], Terminal()
    work = progress(clock, terminal)
    work.add(100)
    assert terminal.getvalue() == ""
    clock[0] = 10.0
    work.add(900)
    assert terminal.getvalue() == "\r[##########....................] 1,000 of 3,000 rows, 100 rows/s, 20 s left\x1b[K"
    clock[0] = 30.0
    work.add(2000)
    work.finish()
    assert terminal.getvalue().endswith("\r[##############################] 3,000 of 3,000 rows, 100 rows/s\x1b[K\n")


def test_a_log_has_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """Without a terminal a line is logged after 30 seconds, then after twice as long each time."""
    caplog.set_level(logging.INFO)
    clock = [0.0]
    work = progress(clock, io.StringIO())
    for clock[0] in (10.0, 30.0, 60.0):
        work.add(1000)
    assert caplog.messages == ["reading old.db: 2,000 of 3,000 rows, 67 rows/s, 15 s left"]
    clock[0] = 90.0
    work.add(0)
    assert caplog.messages[1:] == ["reading old.db: 3,000 of 3,000 rows, 33 rows/s"]


def test_a_log_of_hours_has_each_line(caplog: pytest.LogCaptureFixture) -> None:
    """An import of a day is told to the end: no hour has more lines than the log takes of one kind."""
    caplog.set_level(logging.INFO)
    clock = [0.0]
    work = progress(clock, io.StringIO())
    lines = []
    for clock[0] in range(0, 86_400, 10):
        before = len(caplog.messages)
        work.add(1)
        lines += [clock[0]] * (len(caplog.messages) - before)
    assert max(sum(at <= one < at + 3600 for one in lines) for at in lines) < FIRST_OF_CORE
    assert lines[-1] > 86_400 - 600


def test_an_import_that_is_short_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """What is done at once needs no line."""
    caplog.set_level(logging.INFO)
    work = progress([0.0], io.StringIO())
    work.add(3000)
    work.finish()
    assert caplog.messages == []


def test_rows_that_come_meanwhile_are_counted_too() -> None:
    """There may be more rows in the end than at the start."""
    clock = [0.0]
    work = progress(clock, io.StringIO())
    clock[0] = 1.0
    work.add(4000)
    assert str(work) == "4,000 of 4,000 rows, 4,000 rows/s"
