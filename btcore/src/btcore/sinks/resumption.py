# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log says of a sink that begins again: what it looks at again, and what it can have now."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore.journal import Checkpoint, Entry, Journal, Offset

LONG = 10_000
"""Readings of which a sink selected nothing: the log says so at a start where more of them are looked at again."""

LOOKED = 1000
"""Entries that are looked at for one that is not kept for its baseline alone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def describe_resumption(checkpoint: Checkpoint, settings: str, journal: Journal) -> Iterator[str]:
    """Yield lines for the log. `settings` is the fingerprint of those that the sink begins with."""
    is_changed = checkpoint.settings not in {"", settings}
    if unwanted := _time_of_unwanted(checkpoint, journal):
        if is_changed:
            yield f"its settings changed: {_again(unwanted)}"
        elif _count_unwanted(checkpoint, journal) > LONG:
            yield _again(unwanted)
    if is_changed and (missed := _time_of_missed(checkpoint, journal)):
        yield (
            f"its settings changed, and among the readings since {missed} are some that it did not want before; it can"
            ' have them, with all others since then: docs/journal.md, "To have a sink delivered everything again"'
        )


def _again(unwanted: str) -> str:
    return f"looking again at the readings since {unwanted}, of which nothing was delivered"


def _count_unwanted(checkpoint: Checkpoint, journal: Journal) -> int:
    return journal.lag(checkpoint.offset).entries - journal.lag(checkpoint.examined).entries


def _time_of_unwanted(checkpoint: Checkpoint, journal: Journal) -> str:
    """Return when the first reading came in of which nothing was selected; nothing where there is none."""
    is_any = checkpoint.examined > checkpoint.offset
    return _time_of_first(journal.read(checkpoint.offset, 1) if is_any else (), checkpoint.examined)


def _time_of_missed(checkpoint: Checkpoint, journal: Journal) -> str:
    """Return when the first reading before the offset came in that was not selected; nothing where none is kept."""
    first = checkpoint.first_unwanted
    entries = [*journal.get([first]), *journal.read(first, LOOKED)] if first else []
    for_baselines = {baseline.offset for baseline in checkpoint.baselines.values()}
    return _time_of_first([entry for entry in entries if entry.offset not in for_baselines], checkpoint.offset)


def _time_of_first(entries: Sequence[Entry], until: Offset) -> str:
    first = next((entry for entry in entries if entry.offset <= until), None)
    return f"{EPOCH + timedelta(microseconds=first.key):%Y-%m-%d %H:%M} UTC" if first else ""
