# SPDX-License-Identifier: GPL-3.0-or-later
"""What an RRD file is made of: its name, its one data source, its archives, and the bytes that these take.

Nothing here opens a file. What goes into a file is `feed.py`'s.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import quote

import attrs

Kind = Literal["GAUGE", "DERIVE"]

BTMON_ARCHIVES = ("1:34560", "18:17280", "180:17520", "360:17520")
"""btmon's archives, as steps in a row and rows: with steps of 10 s these are 4 days, 36 days, a year and two years."""

CONSOLIDATIONS = ("AVERAGE", "MAX", "MIN")

HALF_UNKNOWN = 0.5
"""A row of an archive is known if no more than this part of its steps is unknown, as in btmon's files."""

MAX_NAME = 19
"""The most characters of a data source's name."""

HEADER_BYTES = 376
ARCHIVE_BYTES = 208
VALUE_BYTES = 8
"""The bytes of a file of one data source: without archives, for each archive, and for each value of an archive."""

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@attrs.frozen
class Archive:
    """So many rows, each of so many steps."""

    steps: int
    rows: int


@attrs.frozen
class Layout:
    """How files are made: seconds of a step, seconds after which a value is unknown, archives, consolidations."""

    step: int = 10
    heartbeat: int = 20
    archives: tuple[Archive, ...] = ()
    consolidations: tuple[str, ...] = CONSOLIDATIONS

    def data_source(self, name: str, kind: Kind) -> str:
        """Return a data source as RRDtool is told.

        A counter is DERIVE with a minimum of 0: one that falls is unknown for a step. (COUNTER would take a fall for an
        overflow at 2^32 or 2^64.)
        """
        low = "0" if kind == "DERIVE" else "U"
        return f"DS:{name}:{kind}:{self.heartbeat}:{low}:U"

    def round_robin_archives(self) -> list[str]:
        """Return the archives as RRDtool is told, in btmon's order."""
        return [
            f"RRA:{consolidation}:{HALF_UNKNOWN}:{archive.steps}:{archive.rows}"
            for consolidation in self.consolidations
            for archive in self.archives
        ]

    @property
    def file_bytes(self) -> int:
        """The size of a file."""
        rows = sum(archive.rows for archive in self.archives)
        archives = len(self.archives) * ARCHIVE_BYTES + rows * VALUE_BYTES
        return HEADER_BYTES + len(self.consolidations) * archives


def parse_archive(text: str, step: int) -> Archive:
    """Read an archive: `steps:rows`, or the time that a row covers and that the archive does, such as `1m:30d`.

    Raises ValueError with what was expected.
    """
    found = re.fullmatch(r"(\d+)([smhdwy]?):(\d+)([smhdwy]?)", text.strip())
    expected = (
        f'expected STEPS:ROWS, such as "1:8640", or the time of a row and of all rows, such as "1m:30d": "{text}"'
    )
    if not found or bool(found[2]) != bool(found[4]):
        raise ValueError(expected)
    steps, rows = int(found[1]), int(found[3])
    if found[2]:
        seconds = steps * UNITS[found[2]]
        if seconds % step:
            raise ValueError(f'"{text}": a row of {seconds} s is not a multiple of the step, {step} s')
        steps, rows = seconds // step, -(-rows * UNITS[found[4]] // (seconds or 1))
    if not steps or not rows:
        raise ValueError(expected)
    return Archive(steps, rows)


def parse_archives(texts: Sequence[str], step: int) -> tuple[Archive, ...]:
    """Read archives; none means btmon's. Raises ValueError with what was expected."""
    return tuple(parse_archive(text, step) for text in texts or BTMON_ARCHIVES)


def file_name(serial: str, label: str) -> str:
    """Return the name of the file of one number of one meter, as btmon named it.

    What could be taken for a folder, or for the end of a command, is written as %XX.
    """
    return f"{quote(serial, safe='')}_{quote(label, safe='')}.rrd"


def data_source_name(label: str) -> str:
    """Return the name of the data source of a label: letters, digits and `_`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", label)[:MAX_NAME]


def describe_bytes(count: float) -> str:
    """Write a size for a person."""
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004 - ten megabytes


def plural(count: int, what: str) -> str:
    """Write a number of things."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def joined(names: Iterable[str]) -> str:
    """Write a few names, for a message."""
    first, *rest = sorted(names)
    return f"{first} and {plural(len(rest), 'other file')}" if rest else first
