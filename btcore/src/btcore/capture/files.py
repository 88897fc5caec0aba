"""Captures: what a meter sent, as it was recorded.

Lines of JSON, `{"time": 1700000000.0, "stream": "a", "hex": "feff03..."}`, or the plain bytes, or what other tools
make: hex as text (`hex_text.py`), and recordings of a network (`pcap.py`, `tcp_streams.py`). Which of them is told by
how it begins. What is in the bytes is not looked at here, and not waited for.
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
from btcore.capture.tcp_streams import Streams
from btcore.errors import BtcoreError
from btcore.records import MAX_STREAM_NAME, Chunk
from btcore.text import describe_error, plural

BLOCK = 4096
LONGEST_LINE = 1 << 20
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

    Plain bytes and hex text tell no times: their packets are `interval` apart from `start` on, which is by default when
    the file was last changed (so that playing it again gives the same times). What is not as it should be raises
    CaptureError, or is handed to `damaged` and skipped. Raises OSError when the file cannot be read.
    """
    if str(path) == "-":
        with open(0, "rb", closefd=False) as stdin:
            yield from _chunks(stdin, "standard input", steady_clock(start or datetime.now(UTC), interval), damaged)
    else:
        with Path(path).open("rb") as file:
            changed = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
            yield from _chunks(file, str(path), steady_clock(start or changed, interval), damaged)


def capture_line(chunk: Chunk) -> str:
    """Write a chunk as a line of a capture, with its line end: what `read_capture` reads again."""
    time = chunk.time.timestamp() if chunk.time else None
    return json.dumps({"time": time, "stream": chunk.stream, "hex": chunk.data.hex()}) + "\n"


def _chunks(file: BufferedReader, name: str, clock: Iterator[datetime], damaged: Damaged | None) -> Iterator[Chunk]:
    tell = damaged or _raise
    head = file.peek()
    if is_pcap(head):
        yield from _recorded(file, name, clock, tell)
    elif _has_lines(head):
        yield from _written(file, name, tell)
    elif is_hex(head):
        for data in read_hex(file, lambda line, why: tell(CaptureError(f"{name}:{line}: {why}"))):
            yield Chunk(data, clock=clock)
    else:
        while data := file.read1(BLOCK):  # what is there now: a pipe may be slow
            yield Chunk(data, clock=clock)


def _raise(error: CaptureError) -> None:
    raise error


def _recorded(file: BufferedReader, name: str, clock: Iterator[datetime], damaged: Damaged) -> Iterator[Chunk]:
    """Yield what a recording of a network carried, a stream for each direction of a connection."""
    streams = Streams()
    for piece in streams.pieces(read_pcap(file, lambda why: damaged(CaptureError(f"{name}: {why}")))):
        yield Chunk(piece.data, piece.stream, piece.time, piece.end, clock=None if piece.time else clock)
    for (thing, why), number in streams.notes.items():
        damaged(CaptureError(f"{name}: {plural(number, thing)} {why}"))


def _written(file: BufferedReader, name: str, damaged: Damaged) -> Iterator[Chunk]:
    for number, line in _lines(file):
        try:
            yield _chunk(line, f"{name}:{number}")
        except CaptureError as error:
            damaged(error)


def _has_lines(head: bytes) -> bool:
    """Tell lines from plain bytes, though either may begin with damage: one sound line near the beginning is enough.

    Without one, text that begins like JSON is meant to be lines (too long, or of the wrong kind, and an error will say
    so). Not where a packet's first two bytes are in it, which no text can hold; nor JSON that a meter may have sent
    itself, which has none of the names of a capture; nor an array, or an object over several lines: they are something
    else as a whole.
    """
    lines = head.lstrip().split(b"\n")
    if not lines[0].startswith(b"[") and any(map(_is_sound, lines)):
        return True
    if not _OBJECT.match(lines[0]) or b"\xfe\xff" in head or any(map(_is_a_meters, lines)):
        return False
    return len(lines) == 1 or not lines[0].rstrip().endswith(b",")


def _is_sound(line: bytes) -> bool:
    try:
        _chunk(line, "")
    except CaptureError:
        return False
    return True


def _is_a_meters(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.keys().isdisjoint(("time", "stream", "hex"))


def _lines(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers. Of one that is too long, only the beginning is kept."""
    for number in count(1):
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        if line.strip():
            yield number, line


def _chunk(line: bytes, place: str) -> Chunk:
    if len(line) == LONGEST_LINE:
        raise CaptureError(f"{place}: a line of {LONGEST_LINE} bytes or more; expected {EXPECTED}")
    try:
        record = json.loads(line)
        time = datetime.fromtimestamp(record["time"], UTC) if record.get("time") is not None else None
        stream = _stream(record.get("stream", ""))
        return Chunk(bytes.fromhex(record["hex"]), stream, time, address=stream)
    # what JSON of the wrong kind, or built to harm, can bring about
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError) as error:
        raise CaptureError(
            f"{place}: not a line of a capture ({describe_error(error)}); expected {EXPECTED}"
        ) from error


def _stream(name: object) -> str:
    text = str(name)
    if len(text) > MAX_STREAM_NAME:
        raise ValueError(f"the stream's name is longer than {MAX_STREAM_NAME} characters")
    return text


def steady_clock(start: datetime, interval: timedelta) -> Iterator[datetime]:
    """Yield the times of packets that carry none: a fixed interval apart."""
    time = start
    while True:
        yield time
        time += interval
