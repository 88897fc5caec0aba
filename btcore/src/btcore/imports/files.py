# SPDX-License-Identifier: GPL-3.0-or-later
"""A file to be imported, of whatever kind: a log, a table, or a capture, compressed by gzip or not."""

import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from btcore.capture.files import CaptureError, Damaged, read_chunks, steady_clock
from btcore.classes import define, field
from btcore.imports.csv_file import parse_header, read_csv
from btcore.imports.energies import EnergyCounters
from btcore.imports.options import ImportOptions
from btcore.imports.printed_log import is_printed_log, read_printed_log
from btcore.imports.text_lines import decoded, text_lines
from btcore.records import Chunk, Reading

HEAD = 1 << 16
"""Bytes at the beginning that decide what a file is."""

INTERVAL = timedelta(seconds=10)
"""Between two packets of a capture without times."""

GZIP = b"\x1f\x8b"


@define
class ImportFile:
    """A file; `done` is how many of its `size` bytes were read."""

    path: Path
    options: ImportOptions
    counters: EnergyCounters
    size: int = field(init=False, default=0)
    done: int = field(init=False, default=0)

    def read(self, damaged: Damaged) -> Iterator[Chunk | Reading]:
        """Yield what it has, oldest first; what cannot be read is given to `damaged`. Raises OSError."""
        with self.path.open("rb", buffering=HEAD) as file:
            self.size = self.path.stat().st_size
            for item in self._items(_uncompressed(file), damaged):
                self.done = file.tell()
                yield item

    def _items(self, file: io.BufferedReader, damaged: Damaged) -> Iterator[Chunk | Reading]:
        def wrong(line: int, why: str) -> None:
            damaged(CaptureError(f"{self.path.name}:{line}: {why}"))

        text = decoded(file.peek(HEAD)[:HEAD])
        if is_printed_log(text):
            yield from read_printed_log(text_lines(file), self.options, self.counters, wrong)
        elif _is_table(text, self.options):
            yield from read_csv(text_lines(file), self.options, self.counters, wrong)
        else:
            changed = datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
            yield from read_chunks(file, str(self.path), steady_clock(changed, INTERVAL), damaged)


def _uncompressed(file: BinaryIO) -> io.BufferedReader:
    reader = cast("io.BufferedReader", file)
    if not reader.peek(len(GZIP)).startswith(GZIP):
        return reader
    # it has the methods that a reader needs
    return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)), HEAD)


def _is_table(text: str, options: ImportOptions) -> bool:
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        return parse_header(first, options) is not None
    except ValueError:
        return False
