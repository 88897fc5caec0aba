# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sink asks of a store: how far a file is, to create one, to update many. `direct.py` and `daemon.py` are two.

How RRDtool describes a file, and what its errors mean, is the same for both, and is here.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from btcore import Number, Retry, Stop
from btmon_rrd.feed import FileState

Updates = Mapping[str, str]
"""By the path of a file, the points that it is to have: `time:value`, in the order of time, with blanks between."""


class Store(Protocol):
    """Where the files are."""

    def open(self) -> None:
        """Begin. Raises Retry or Stop."""

    def close(self) -> None:
        """End: what was updated is in the files, as far as that can be done now."""

    def state(self, path: str) -> FileState | None:
        """Return how far a file is; None if there is none. Raises Retry or Stop."""

    def create(self, path: str, start: int, step: int, definitions: Sequence[str]) -> None:
        """Create a file, unless it exists, whose first update is after `start`. Raises Retry or Stop."""

    def update(self, updates: Updates) -> set[str]:
        """Update files; return those that are not where the sink thought, so that their state is asked again.

        Raises Retry or Stop; then each file may have all, some or none of its points.
        """


class FileProblem(Stop):
    """One file cannot be used, whatever is done with the others."""


class Outdated(Exception):
    """A file is not where the sink thought: it has a later update already, or does not exist."""


def parse_info(path: str, info: Mapping[str, object]) -> FileState:
    """Return the state of a file as RRDtool describes it. Raises FileProblem for one that this plugin cannot update."""
    names = [key[3:-6] for key in info if key.startswith("ds[") and key.endswith("].type")]
    if len(names) != 1:
        raise FileProblem(
            f"{path} has {len(names)} data sources, so btmon did not make it; expected one: name another `dir`, or move"
            " the file away"
        )
    name = names[0]
    return FileState(
        last=int(str(info["last_update"])),
        value=_number(str(info.get(f"ds[{name}].last_ds", "U"))),
        kind=str(info[f"ds[{name}].type"]),
        heartbeat=float(str(info[f"ds[{name}].minimal_heartbeat"])),
    )


def _number(text: str) -> Number:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None  # "U", as after an unknown value
    return value if value == value else None  # noqa: PLR0124 - a NaN is not equal to itself


OUTDATED = ("illegal attempt to update", "No such file", "does not exist")
EXISTS = "File exists"
UNNAMED = "RRDtool names no reason, as with a full disk"
NOT_CREATED = "Cannot create temporary file"

MEANINGS: Sequence[tuple[Sequence[str], type[Retry] | type[Stop], str]] = (
    (
        ("No space left", "Disk quota", "annot allocate", UNNAMED),
        Retry,
        "no space left for {path}: free space on its disk; the readings wait in the journal ({error})",
    ),
    (
        (NOT_CREATED,),
        Retry,
        (
            "{path} cannot be created ({error}): its directory must exist, have space, and be writable for the user"
            " that writes the files (btcore, or rrdcached's)"
        ),
    ),
    (
        ("Permission denied", "Read-only file system", "Operation not permitted"),
        FileProblem,
        (
            "{path} cannot be written ({error}): let the user that writes the files (btcore, or rrdcached's) write it"
            " and its directory, or correct `dir`; rrdcached may allow only what is below its base directory, -b"
        ),
    ),
    (
        ("reached EOF", "another architecture", "not an RRD", "too small", "mmaping", "not a regular file"),
        FileProblem,
        "{path} is damaged, or no RRD file ({error}): move it away; a new one is made at the next start",
    ),
    (
        ("Unknown command",),
        Stop,
        "rrdcached does not know a command that creates or describes files ({error}): it must be 1.5 or later",
    ),
)
"""What errors of RRDtool mean, by a part of their text."""


def outcome(path: str, error: str) -> Exception:
    """Return what an error of RRDtool means for the sink."""
    error = error.removeprefix("RRD Error:").strip() or UNNAMED
    if any(text in error for text in OUTDATED):
        return Outdated(error)
    for texts, kind, message in MEANINGS:
        if any(text in error for text in texts):
            return kind(message.format(path=path, error=error))
    return Retry(f"{path} cannot be used now ({error})")
