# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of the log: for a file, a terminal, the journal of systemd, and a program."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from btcore.logs.formatter import Formatter
from btcore.logs.forms import FORM, ColourFormatter, JournalFormatter, JsonFormatter, make_formatter

SECRET = "s3cret-k3y"


def fail() -> None:
    """Raise an exception whose text has a secret, and two lines."""
    raise ValueError(f"no {SECRET}\nat all")


def record(level: int = logging.WARNING, message: str = "key %s", *values: object, error: bool = False) -> object:
    """Make a record, of an exception if there is to be an error."""
    trace = None
    if error:
        try:
            fail()
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("sink.roof", level, __file__, 1, message, values or (SECRET,), trace)


def formatted(formatter: Formatter, level: int = logging.WARNING, *, error: bool = False) -> list[str]:
    """Return the lines of a record."""
    made = record(level, error=error)
    assert isinstance(made, logging.LogRecord)
    return formatter.format(made).split("\n")


@contextmanager
def terminal() -> Iterator[TextIO]:
    """Open a terminal."""
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        yield stream
    os.close(master)


@contextmanager
def pipe() -> Iterator[TextIO]:
    """Open a pipe."""
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        yield stream
    os.close(reader)


def journal_of(stream: TextIO) -> str:
    """Return what systemd says of the stream that it has connected to the journal."""
    status = os.fstat(stream.fileno())
    return f"{status.st_dev}:{status.st_ino}"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ColourFormatter),
        ({"NO_COLOR": "1"}, Formatter),
        ({"NO_COLOR": ""}, ColourFormatter),
        ({"TERM": "dumb"}, Formatter),
    ],
)
def test_a_terminal_has_colours_unless_they_are_not_wanted(environment: dict[str, str], expected: type) -> None:
    """On a terminal the level has a colour; NO_COLOR and a terminal without colours are respected."""
    with terminal() as stream:
        assert type(make_formatter("text", stream, (), environment)) is expected


def test_a_stream_is_the_journal_only_if_it_is_that_very_stream() -> None:
    """JOURNAL_STREAM names one stream: where stderr was redirected, it is another one."""
    with pipe() as journal, pipe() as other:
        environment = {"JOURNAL_STREAM": journal_of(journal)}
        assert type(make_formatter("text", journal, (), environment)) is JournalFormatter
        assert type(make_formatter("text", other, (), environment)) is Formatter
        assert type(make_formatter("json", journal, (), environment)) is JsonFormatter
    assert type(make_formatter("text", journal, (), environment)) is Formatter  # it is closed
    assert type(make_formatter("text", None, (), environment)) is Formatter


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2), (35, 6)],
)
def test_each_line_for_the_journal_has_its_priority(level: int, priority: int) -> None:
    """Each line begins with the priority of its level, those of a traceback too, and has no time, which is added."""
    lines = formatted(JournalFormatter("%(levelname)-7s %(name)s: %(message)s", [SECRET]), level, error=True)
    assert lines[0] == f"<{priority}>{logging.getLevelName(level):<7} sink.roof: key ***"
    assert len(lines) > 3
    assert all(line.startswith(f"<{priority}>") for line in lines)
    assert SECRET not in "".join(lines)


def test_a_level_has_a_colour_and_nothing_else_has() -> None:
    """A warning's level is yellow; the message is as it is without colours. INFO has no colour."""
    plain, coloured = Formatter(FORM, [SECRET]), ColourFormatter(FORM, [SECRET])
    line = formatted(coloured)[0]
    assert line.replace("\x1b[33m", "").replace("\x1b[0m", "")[24:] == formatted(plain)[0][24:]
    assert "\x1b[33mWARNING\x1b[0m sink.roof: key ***" in line
    assert "\x1b" not in formatted(coloured, logging.INFO)[0]


def test_json_has_one_object_a_line_without_secrets() -> None:
    """Each record is one object: time, level, logger, message, and the lines of a traceback."""
    (line,) = formatted(JsonFormatter(FORM, [SECRET]), error=True)
    assert SECRET not in line
    found = json.loads(line)
    assert found["details"][0].startswith("Traceback")
    assert found["details"][-2:] == ["ValueError: no ***", "at all"]
    assert [found[key] for key in ("level", "logger", "message")] == ["WARNING", "sink.roof", "key ***"]
    assert found["time"].endswith("Z")
    (line,) = formatted(JsonFormatter(FORM, [SECRET]))
    assert "details" not in json.loads(line)


SPEAKING = """
import logging, sys
from btcore.logs.handler import say, set_up

set_up(form="json", secrets=["s3cret-k3y"])
logging.getLogger("sink.roof").warning("two\\nlines")
print("past the log, s3cret-k3y", file=sys.stderr)
say("a message of the command line")
"""


@pytest.mark.servers
def test_whatever_is_written_is_json() -> None:
    """With the form `json` every line of stderr is an object, also what a plugin prints and what a command says."""
    command = [sys.executable, "-c", SPEAKING]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr.splitlines()
    assert [(found["logger"], found["message"]) for found in map(json.loads, lines)] == [
        ("sink.roof", "two\nlines"),
        ("stderr", "past the log, ***"),
        ("btcore", "a message of the command line"),
    ]
