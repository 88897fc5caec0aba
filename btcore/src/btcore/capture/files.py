# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture files, read and written.

A capture is lines of JSON, `{"time": 1700000000.0, "stream": "a", "hex": "feff03..."}`, or plain bytes, or what other
tools make: hex text (`hex_text.py`), and recordings of a network (`pcap.py`, `tcp_streams.py`). The beginning of the
file decides which it is. What the bytes mean is not looked at here.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from itertools import count
from pathlib import Path

from btcore.capture.hex_text import is_hex, read_hex
from btcore.capture.pcap import is_pcap, read_pcap
from btcore.capture.tcp_streams import TcpStreams
from btcore.errors import BtcoreError
from btcore.records import MAX_STREAM_NAME, Chunk
from btcore.text import describe_error, plural

BLOCK = 128 << 10
"""Bytes that are read at once: of what has come in so far, where it is a pipe. The packets of a block are one write."""

MAX_LINE = 1 << 20
_OBJECT = re.compile(rb'\{\s*"')
EXPECTED = '{"time": 1700000000.0, "stream": "a", "hex": "feff03..."}'


class CaptureError(BtcoreError):
    """A part of a capture that cannot be read; the text says which, and what was expected."""


Damaged = Callable[[CaptureError], None]


def read_capture(
    path: str | Path,
    *,
    start: datetime | None = None,
    interval: timedelta = timedelta(seconds=10),
    damaged: Damaged | None = None,
) -> Iterator[Chunk]:
    """Yield the chunks of a capture, oldest first. `-` reads standard input.

    Plain bytes and hex text have no times: their packets are `interval` apart, from `start` on, which is by default the
    time of the file's last change (so playing it again gives the same times). A part that cannot be read raises
    CaptureError, or is given to `damaged` and skipped. Raises OSError if the file cannot be read.
    """
    if str(path) == "-":
        with open(0, "rb", closefd=False) as stdin:
            yield from read_chunks(stdin, "standard input", steady_clock(start or datetime.now(UTC), interval), damaged)
    else:
        with Path(path).open("rb") as file:
            changed = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
            yield from read_chunks(file, str(path), steady_clock(start or changed, interval), damaged)


def capture_line(chunk: Chunk) -> str:
    """Format a chunk as a line of a capture, with its line end: `read_capture` reads it again."""
    time = chunk.time.timestamp() if chunk.time else None
    return json.dumps({"time": time, "stream": chunk.stream, "hex": chunk.data.hex()}) + "\n"


def read_chunks(file: BufferedReader, name: str, clock: Iterator[datetime], damaged: Damaged | None) -> Iterator[Chunk]:
    """Yield the chunks of a capture that is open, as `read_capture`. A packet without a time gets one of the clock."""
    report = damaged or _raise
    head = file.peek()
    if is_pcap(head):
        yield from _network_chunks(file, name, clock, report)
    elif _has_lines(head):
        yield from _line_chunks(file, name, report)
    elif is_hex(head):
        for data in read_hex(file, lambda line, why: report(CaptureError(f"{name}:{line}: {why}"))):
            yield Chunk(data, clock=clock)
    else:
        while data := file.read1(BLOCK):  # what has come in so far: a pipe may be slow
            yield Chunk(data, clock=clock)


def _raise(error: CaptureError) -> None:
    raise error


def _network_chunks(file: BufferedReader, name: str, clock: Iterator[datetime], damaged: Damaged) -> Iterator[Chunk]:
    """Yield the chunks of a recording of a network: each direction of a TCP connection is a stream."""
    streams = TcpStreams()
    for payload in streams.payloads(read_pcap(file, lambda why: damaged(CaptureError(f"{name}: {why}")))):
        yield Chunk(payload.data, payload.stream, payload.time, payload.end, clock=None if payload.time else clock)
    for (thing, why), number in streams.skipped.items():
        damaged(CaptureError(f"{name}: {plural(number, thing)} {why}"))


def _line_chunks(file: BufferedReader, name: str, damaged: Damaged) -> Iterator[Chunk]:
    for number, line in _lines(file):
        try:
            yield _chunk(line, f"{name}:{number}")
        except CaptureError as error:
            damaged(error)


def _has_lines(head: bytes) -> bool:
    """Whether a file that begins so has lines of a capture; the beginning may be damaged, so one valid line is enough.

    Without a valid line, text that begins like JSON is taken for lines (an error will say what is wrong with them),
    except in three cases: a packet's first two bytes are in it, which no text contains; it has none of the keys of a
    capture, so a meter may have sent that JSON; it is an array, or an object of several lines.
    """
    lines = head.lstrip().split(b"\n")
    if not lines[0].startswith(b"[") and any(map(_is_valid, lines)):
        return True
    if not _OBJECT.match(lines[0]) or b"\xfe\xff" in head or any(map(_is_other_json, lines)):
        return False
    return len(lines) == 1 or not lines[0].rstrip().endswith(b",")


def _is_valid(line: bytes) -> bool:
    try:
        _chunk(line, "")
    except CaptureError:
        return False
    return True


def _is_other_json(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.keys().isdisjoint(("time", "stream", "hex"))


def _lines(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. A line that is too long is cut."""
    for number in count(1):
        line = file.readline(MAX_LINE)
        if not line:
            return
        rest = line
        while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
        if line.strip():
            yield number, line


def _chunk(line: bytes, where: str) -> Chunk:
    if len(line) == MAX_LINE:
        raise CaptureError(f"{where}: a line of {MAX_LINE} bytes or more; expected {EXPECTED}")
    try:
        record = json.loads(line)
        time = datetime.fromtimestamp(record["time"], UTC) if record.get("time") is not None else None
        stream = _stream(record.get("stream", ""))
        return Chunk(bytes.fromhex(record["hex"]), stream, time, address=stream)
    # what JSON of the wrong kind, or made to do harm, can raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError) as error:
        raise CaptureError(
            f"{where}: not a line of a capture ({describe_error(error)}); expected {EXPECTED}"
        ) from error


def _stream(name: object) -> str:
    text = str(name)
    if len(text) > MAX_STREAM_NAME:
        raise ValueError(f"the stream's name is longer than {MAX_STREAM_NAME} characters")
    return text


def steady_clock(start: datetime, interval: timedelta) -> Iterator[datetime]:
    """Yield times at a fixed interval, for packets without times."""
    time = start
    while True:
        yield time
        time += interval
