"""Reading a capture: what a meter sent, as it was recorded.

Either lines of JSON, `{"time": 1700000000.0, "stream": "a", "hex": "feff03..."}`, or the plain bytes. Which of the two
is told by the first byte: a capture of lines starts with `{`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from btcore.errors import BtcoreError
from btcore.records import Chunk

BLOCK = 4096
LONGEST_LINE = 1 << 20


class CaptureError(BtcoreError):
    """A line of a capture that cannot be read; the text says which, and what was expected."""


def read_capture(
    path: str | Path,
    *,
    start: datetime | None = None,
    interval: timedelta = timedelta(seconds=10),
    damaged: Callable[[CaptureError], None] | None = None,
) -> Iterator[Chunk]:
    """Yield the chunks of a capture, oldest first. `-` reads standard input.

    A plain binary file tells no times: its packets are `interval` apart from `start` on, which is by default when the file
    was last changed (so that playing it again gives the same times). A line that is not as documented raises CaptureError,
    or is handed to `damaged` and skipped. Raises OSError when the file cannot be read.
    """
    if str(path) == "-":
        with open(0, "rb", closefd=False) as stdin:  # noqa: PTH123 - a descriptor, not a path
            yield from _chunks(stdin, "standard input", steady_clock(start or datetime.now(UTC), interval), damaged)
    else:
        with Path(path).open("rb") as file:
            changed = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
            yield from _chunks(file, str(path), steady_clock(start or changed, interval), damaged)


def _chunks(
    file: BinaryIO, name: str, clock: Iterator[datetime], damaged: Callable[[CaptureError], None] | None
) -> Iterator[Chunk]:
    first = file.read(1)
    if first != b"{":
        yield Chunk(first, clock=clock)
        while data := file.read(BLOCK):
            yield Chunk(data, clock=clock)
        return
    for number, line in enumerate(_lines(first, file), 1):
        if not line.strip():
            continue
        try:
            yield _chunk(line, f"{name}:{number}")
        except CaptureError as error:
            if damaged is None:
                raise
            damaged(error)


def _lines(first: bytes, file: BinaryIO) -> Iterable[bytes]:
    """Lines of a bounded length: a file without a line end must not fill the memory."""
    line = first + file.readline(LONGEST_LINE)
    while line:
        yield line
        line = file.readline(LONGEST_LINE)


def _chunk(line: bytes, place: str) -> Chunk:
    try:
        record = json.loads(line)
        time = datetime.fromtimestamp(record["time"], UTC) if record.get("time") is not None else None
        return Chunk(bytes.fromhex(record["hex"]), str(record.get("stream", "")), time)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        expected = '{"time": 1700000000.0, "stream": "a", "hex": "feff03..."}'
        raise CaptureError(f"{place}: not a line of a capture ({error!r}); expected {expected}") from error


def steady_clock(start: datetime, interval: timedelta) -> Iterator[datetime]:
    """Yield the times of packets that carry none: a fixed interval apart."""
    time = start
    while True:
        yield time
        time += interval
