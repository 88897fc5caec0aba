# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: every file is read as what it is, and damage in one costs only itself."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import CaptureError, Chunk, pack, read_capture
from btcore.capture.files import MAX_LINE, capture_line, steady_clock
from btcore.records import MAX_STREAM_NAME

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
PACKET = pack("ecm1240bin", "312345", {"volts": 120.9, "secs": 5})


def line(data: bytes = PACKET, time: float | None = 1_700_000_000.25, stream: str = "a") -> bytes:
    """Make one line of a capture."""
    return json.dumps({"time": time, "stream": stream, "hex": data.hex()}).encode() + b"\n"


@pytest.fixture
def capture(tmp_path: Path) -> Callable[[bytes], Path]:
    """Return a function that writes a capture."""

    def write(content: bytes) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(content)
        return path

    return write


Write = Callable[[bytes], Path]


def read(path: Path) -> tuple[bytes, list[str]]:
    """Read a capture: all its bytes, and what was said about damaged lines."""
    damaged: list[CaptureError] = []
    data = b"".join(chunk.data for chunk in read_capture(path, damaged=damaged.append))
    return data, [str(error) for error in damaged]


def test_a_line_is_a_chunk(capture: Write) -> None:
    """A line's bytes, stream and time become a chunk's, the time to the microsecond."""
    time = datetime(2023, 11, 14, 22, 13, 20, 250_001, UTC)
    expected = [Chunk(PACKET, "a", time), Chunk(b"\x01", "b", time)]
    path = capture(line(time=time.timestamp()) + line(b"\x01", time.timestamp(), "b"))
    assert expected == list(read_capture(path))


def test_time_and_stream_may_be_left_out(capture: Write) -> None:
    """A line without time means now, without stream the stream without a name."""
    assert [Chunk(b"\xfe")] == list(read_capture(capture(b'{"hex": "fe"}\n')))


def test_the_last_line_needs_no_line_end(capture: Write) -> None:
    """A capture whose last line has no line end, and which has blank ones, is whole."""
    assert read(capture(b"\n" + line() + b"\r\n\n" + line().rstrip())) == (PACKET * 2, [])


def test_an_empty_file_has_no_chunks(capture: Write) -> None:
    """An empty file is a capture of nothing."""
    assert list(read_capture(capture(b""))) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there raises the system's own error."""
    with pytest.raises(FileNotFoundError, match="nothing here"):
        list(read_capture(tmp_path / "nothing here"))


DAMAGED_LINES = {
    "not JSON": b'{"time": 17000, "hex": "fe\n',
    "a list": b'["hex"]\n',
    "no bytes": b'{"time": 1700000000.0, "stream": "a"}\n',
    "bytes that are none": b'{"hex": "xyz"}\n',
    "bytes that are a number": b'{"hex": 5}\n',
    "a time in words": b'{"hex": "fe", "time": "now"}\n',
    "a time that is none": b'{"hex": "fe", "time": NaN}\n',
    "a time after the end of time": b'{"hex": "fe", "time": 1e30}\n',
    "a huge integer": b'{"hex": "fe", "time": ' + b"9" * 5000 + b"}\n",
    "nested too deep": b'{"hex": ' + b"[" * 200_000 + b"\n",
    "not UTF-8": b'{"hex": "fe", "stream": "\xff\xfe"}\n',
    "noise": b"\xfe\xff\x05 noise\n",
    "a long name": line(stream="s" * (MAX_STREAM_NAME + 1)),
}


@pytest.mark.parametrize("damage", DAMAGED_LINES.values(), ids=DAMAGED_LINES)
def test_a_damaged_line_costs_only_itself(capture: Write, damage: bytes) -> None:
    """A line that is not as documented is told with its number and what was expected, and the others are read."""
    path = capture(line() + damage + line())
    data, errors = read(path)
    assert data == PACKET * 2
    assert [f"{path}:2: not a line of a capture"] == [error.split(" (")[0] for error in errors]
    assert errors[0].endswith('; expected {"time": 1700000000.0, "stream": "a", "hex": "feff03..."}')


@pytest.mark.parametrize("damage", DAMAGED_LINES.values(), ids=DAMAGED_LINES)
def test_a_capture_may_begin_with_a_damaged_line(capture: Write, damage: bytes) -> None:
    """A first line that is damaged does not make lines look like plain bytes."""
    assert read(capture(damage + line()))[0] == PACKET


def test_a_damaged_line_raises_when_nobody_takes_it(capture: Write) -> None:
    """Without a place for damaged lines, the first one raises."""
    with pytest.raises(CaptureError, match=":1: not a line"):
        list(read_capture(capture(b'{"hex": 5}\n')))


def test_a_huge_line_is_skipped_and_counts_as_one(capture: Write) -> None:
    """A line of many megabytes is one damaged line, and those behind it keep their numbers."""
    path = capture(line() + b'{"hex": "' + b"00" * 2 * MAX_LINE + b'"}\n' + line() + b"junk\n" + line())
    data, errors = read(path)
    assert data == PACKET * 3
    assert [f"{path}:2: a line of {MAX_LINE} bytes or more", f"{path}:4: not a line of a capture"] == [
        error.split(" (")[0].split(";")[0] for error in errors
    ]


def test_lines_of_another_kind_are_not_taken_for_bytes(capture: Write) -> None:
    """Lines of JSON without `hex` are told as damaged lines, not read as junk."""
    data, errors = read(capture(b'{"time": 1, "data": "feff"}\n' * 3))
    assert (data, len(errors)) == (b"", 3)


BINARY = {
    "packets": PACKET * 3,
    "large": PACKET * 1000,
    "a first byte like JSON": b"{" + PACKET,
    "JSON-like junk with a line end": b'{"\n{\n' + PACKET,
    "words of JSON": b'{"hex"\n' + PACKET,
    "junk": bytes(range(128)),
    "spaces": b"   " + PACKET,
}


@pytest.mark.parametrize("content", BINARY.values(), ids=BINARY)
def test_plain_bytes_are_read_unchanged(capture: Write, content: bytes) -> None:
    """A binary capture is read byte by byte as it is, also when it begins with junk that looks like JSON."""
    assert (content, []) == read(capture(content))


@given(content=st.binary(max_size=400))
def test_junk_before_a_packet_never_hides_it(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is in front of it, a packet in a binary capture is read as it is."""
    path = tmp_path_factory.getbasetemp() / "junk"
    path.write_bytes(b"{" + content + PACKET)
    assert (b"{" + content + PACKET, []) == read(path)


def test_plain_bytes_take_their_times_from_a_clock(capture: Write) -> None:
    """All chunks of a binary file share one clock, which begins at `start` and is asked for each packet."""
    chunks = list(read_capture(capture(PACKET * 1000), start=START, interval=timedelta(minutes=1)))
    assert len(chunks) > 1
    assert {id(chunks[0].clock)} == {id(chunk.clock) for chunk in chunks}
    assert chunks[0].clock is not None
    assert [START, START + timedelta(minutes=1)] == list(islice(chunks[0].clock, 2))
    assert {None} == {chunk.time for chunk in chunks}


def test_a_binary_file_begins_when_it_was_last_changed(capture: Write) -> None:
    """Without a start, the same file played twice has the same times."""
    path = capture(PACKET)
    os.utime(path, (START.timestamp(), START.timestamp()))
    clocks = [next(iter(read_capture(path))).clock for _ in range(2)]
    assert [next(clock) for clock in clocks if clock is not None] == [START, START]


def test_a_steady_clock_is_exact() -> None:
    """Times that are an interval apart do not drift."""
    clock = steady_clock(START, timedelta(seconds=0.1))
    assert START + timedelta(hours=1) == next(islice(clock, 36_000, None))


@pytest.mark.parametrize("data", [PACKET, PACKET * 1000], ids=["a packet", "many at once"])
def test_what_was_written_is_read_again(capture: Write, data: bytes) -> None:
    """A chunk written as a line is the same when it is read, its time to the microsecond, however long it is."""
    chunks = [Chunk(data, "a b", START + timedelta(microseconds=1)), Chunk(data, "", None)]
    assert chunks == list(read_capture(capture("".join(map(capture_line, chunks)).encode())))


@pytest.mark.servers
@pytest.mark.parametrize("content", [line() * 3, PACKET * 3], ids=["lines", "bytes"])
def test_standard_input_is_read(content: bytes) -> None:
    """`-` reads a capture of either kind from standard input."""
    program = "import sys, btcore; sys.stdout.write(b''.join(c.data for c in btcore.read_capture('-')).hex())"
    done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=True, timeout=30)
    assert (PACKET * 3).hex() == done.stdout.decode()
