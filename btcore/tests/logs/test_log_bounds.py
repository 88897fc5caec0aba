# SPDX-License-Identifier: GPL-3.0-or-later
"""The log's bounds: texts that cannot steer a terminal, lines that wait, messages that repeat."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import btcore
from btcore.logs.queue import MAX_LINES, LogQueue
from btcore.logs.repeat_limit import FIRST, FIRST_OF_CORE, HOUR, MAX_KINDS, RepeatLimit
from btcore.testing import Clock
from btcore.text import plain, plain_lines, quoted


@given(st.text())
def test_no_text_can_steer_a_terminal_or_begin_a_line(text: str) -> None:
    """Whatever a plugin or a service says is one line of characters that are shown; letters of all languages stay."""
    shown = plain(text)
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u2028\u2029\u202e\u2066" for one in shown)
    shown.encode()
    assert plain(shown) == shown
    assert plain_lines(f"{shown}\n{shown}").split("\n") == [shown, shown]


def test_letters_stay() -> None:
    """What is not made to deceive is shown as it is."""
    assert plain("Küche \N{GREEK SMALL LETTER ALPHA} 厨房 €") == "Küche \N{GREEK SMALL LETTER ALPHA} 厨房 €"
    assert plain("a\x1b[2Jb\r\nc\x9b1md\u202ee\udce9") == "a [2Jb c 1md e\N{REPLACEMENT CHARACTER}"
    assert quoted('x"\x1b') == '"x\\"\\u001b"'


# --- lines that wait


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return a pipe: what is read from, and what is written to."""
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_what_nobody_reads_is_dropped_counted_and_told(pipe: tuple[int, int]) -> None:
    """Lines beyond the bound are dropped without a wait; once somebody reads, it says how many, and goes on."""
    read, write = pipe
    with os.fdopen(os.dup(write), "w") as stream:
        queue = LogQueue(stream, lambda count, why: f"{count} dropped: {why}\n")
        refused = sum(not _put(queue) for _ in range(3 * MAX_LINES))
        assert refused > 0
        found = b""
        while b"dropped: nobody read stderr" not in found:
            found += os.read(read, 1 << 16)
        lines = found.decode().splitlines()
        dropped = [int(line.split()[0]) for line in lines if "dropped" in line]
        assert (lines.count("x" * 100) + refused, dropped) == (3 * MAX_LINES, [refused])
        queue.close()


def test_many_waits_in_vain_are_one(pipe: tuple[int, int]) -> None:
    """Where nobody reads, a program that waits after each of many lines waits once."""
    read, write = pipe
    with os.fdopen(os.dup(write), "w") as stream:
        queue = LogQueue(stream, lambda count, why: f"{count} dropped: {why}\n")
        for _ in range(1000):
            _put(queue)
        assert not queue.flush(0.1)
        before = time.monotonic()
        assert not queue.flush(60)
        assert time.monotonic() - before < 30
        while os.read(read, 1 << 16).count(b"\n") < 1:
            pass
        queue.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_full_disk_below_stderr_harms_nobody() -> None:
    """Where stderr goes to a full disk, lines are dropped, and the thread that writes lives on."""
    with Path("/dev/full").open("w") as stream:
        told: list[str] = []

        def dropped(count: int, why: str) -> str:
            told.append(why)
            return f"{count}\n"

        queue = LogQueue(stream, dropped)
        for _ in range(3):
            assert _put(queue)
            assert queue.flush(20)
        assert told
        assert set(told) == {"cannot write to stderr: No space left on device"}
        queue.close()


def test_what_is_opened_after_the_stream_was_closed_gets_no_line(tmp_path: Path) -> None:
    """A plugin that closes stderr does not make the log go into the next file that is opened."""
    with (tmp_path / "log").open("w") as stream:
        number = stream.fileno()
        queue = LogQueue(stream, lambda count, why: f"{count} {why}\n")
    with (tmp_path / "energy.db").open("w") as other:
        assert other.fileno() == number
        assert _put(queue)
        assert queue.flush(20)
    queue.close()
    assert ((tmp_path / "log").stat().st_size, (tmp_path / "energy.db").stat().st_size) == (101, 0)


def test_a_queue_that_is_closed_ends_its_thread_also_where_nothing_can_be_written() -> None:
    """What cannot be written is not tried for ever by a queue that is closed, and its file is closed."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        queue = LogQueue(stream, lambda count, why: f"{count} {why}\n")
        assert _put(queue)
        assert queue.flush(20)
        queue.close()
    assert queue._thread is not None
    queue._thread.join(20)
    assert (queue._thread.is_alive(), queue._descriptor) == (False, None)


def _put(queue: LogQueue) -> bool:
    if not queue.accepts():
        return False
    queue.put("x" * 100 + "\n")
    return True


# --- messages that repeat


def record(message: str, *args: object, level: int = logging.WARNING, name: str = "sink.roof") -> logging.LogRecord:
    """Make a record of a plugin."""
    return logging.LogRecord(name, level, "/plugin.py", 1, message, args, None)


@pytest.fixture
def repeat_limit(clock: Clock) -> RepeatLimit:
    """Return what decides which messages are written."""
    return RepeatLimit(clock)


def allows(repeat_limit: RepeatLimit, one: logging.LogRecord) -> bool:
    """Ask about a record."""
    return repeat_limit.allows(one, one.getMessage())


def test_messages_of_a_kind_are_summed_up(repeat_limit: RepeatLimit, clock: Clock) -> None:
    """Of one template, whatever its arguments, the first few within an hour are written, then how many more."""
    written = [allows(repeat_limit, record("status %d of %s refused", n, "x")) for n in range(100)]
    assert written == [True] * FIRST + [False] * (100 - FIRST)
    assert repeat_limit.summaries() == []
    clock.now = HOUR + 1
    (told,) = repeat_limit.summaries()
    assert told.getMessage() == f"{100 - FIRST} more like this within the hour; last: status 99 of x refused"
    assert allows(repeat_limit, record("status %d of %s refused", 100, "x"))


def test_errors_of_different_texts_all_come(repeat_limit: RepeatLimit) -> None:
    """What a person must know is not taken for a repetition because it is logged by the same line."""
    assert all(allows(repeat_limit, record("%s", f"error number {n}", level=logging.ERROR)) for n in range(50))
    same = [allows(repeat_limit, record("%s", "the same", level=logging.ERROR)) for _ in range(5)]
    assert same == [True] * FIRST + [False] * (5 - FIRST)


def test_what_the_program_says_itself_is_always_written(repeat_limit: RepeatLimit) -> None:
    """The core's own reports are few by themselves."""
    assert all(allows(repeat_limit, record("stopping", name="btcore")) for _ in range(100))


def test_a_package_is_not_the_core_for_its_name(repeat_limit: RepeatLimit) -> None:
    """A plugin whose package begins like the core's is a plugin: what it repeats is left out as soon as any other's."""
    one = record("the same")
    one.pathname = str(Path(btcore.__file__).parent) + "_webhook/sink.py"
    assert [allows(repeat_limit, one) for _ in range(5)] == [True] * FIRST + [False] * (5 - FIRST)


@pytest.mark.parametrize("wing", ["sinks/worker.py", "logs/handler.py", "discovery.py"])
def test_the_core_s_own_messages_are_known_by_every_wing(repeat_limit: RepeatLimit, wing: str) -> None:
    """What the core logs of a meter or a sink is limited later than what a plugin logs, from wherever in the core."""
    one = record("the same")
    one.pathname = str(Path(btcore.__file__).parent / wing)
    assert [allows(repeat_limit, one) for _ in range(25)] == [True] * FIRST_OF_CORE + [False] * (25 - FIRST_OF_CORE)


def test_kinds_are_bounded(repeat_limit: RepeatLimit) -> None:
    """Messages that all differ take no memory without end."""
    for n in range(2 * MAX_KINDS):
        allows(repeat_limit, record("x" * (n % 50) + f" unlike {chr(0x4E00 + n)}", name=f"source.s{n}"))
        repeat_limit.summaries()
    assert len(repeat_limit._kinds) <= 2 * MAX_KINDS
