# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that a dry run prints in place of a delivery. `worker.py` asks the plugin for them."""

from collections.abc import Callable, Iterable

from btcore.errors import Stop
from btcore.records import Batch
from btcore.text import plain, plural


def print_line(line: str) -> None:
    """Print a line without control characters, and flush it, so that a pipe gets it at once too."""
    # in one write: lines of two sinks do not mix
    print(f"{plain(line)}\n", end="", flush=True)  # noqa: T201 - what a dry run is for


def describe_batch(batch: Batch, preview: Iterable[str] | None) -> list[str]:
    """Return the lines that describe a batch: those of the plugin, or the number of readings and samples."""
    if preview is None:
        return [f"{plural(len(batch.readings), 'reading')}, {plural(len(batch.samples), 'sample')}"]
    return list(preview)


def print_lines(lines: Iterable[str], out: Callable[[str], object]) -> None:
    """Print lines. Raises Stop if that fails."""
    try:
        for line in lines:
            out(line)
    except OSError as error:
        raise Stop(f"cannot print what would be sent: {error}") from error
