"""What is told of a sink that begins again: what it looks at again, and what it can have that it did not want."""

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore.journal import Checkpoint, Entry

LONG = 10_000
"""Places of which a sink wanted nothing: to look at more of them again after each restart is told."""

LOOKED = 1000
"""Entries that are looked at for one that is not kept for its baseline alone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Read = Callable[[int, int], Sequence[Entry]]
"""Reads the entries after a place, at most so many."""


def again(cursor: Checkpoint, settings: str, read: Read) -> Iterator[str]:
    """Yield lines for the log. `settings` is the mark of those that the sink begins with."""
    is_changed = cursor.settings not in {"", settings}
    bases = {base.offset for base in cursor.baselines.values()}
    unwanted = _since(cursor.offset, cursor.examined, read)
    if unwanted and (is_changed or cursor.examined - cursor.offset > LONG):
        why = "its settings changed: " if is_changed else ""
        yield f"{why}looking again at the readings since {unwanted}, of which nothing was delivered"
    missed = (
        _since(cursor.first_unwanted - 1, cursor.offset, read, bases) if is_changed and cursor.first_unwanted else ""
    )
    if missed:
        yield (
            f"its settings changed, and among the readings since {missed} are some that it did not want before; it can"
            ' have them, with all others since then: docs/journal.md, "To have a sink delivered everything again"'
        )


def _since(after: int, until: int, read: Read, bases: Container[int] = ()) -> str:
    """Return when the first reading between two places came in, but for baselines; nothing where none is kept."""
    entries = read(after, LOOKED if bases else 1) if until > after else ()
    first = next((entry for entry in entries if entry.offset <= until and entry.offset not in bases), None)
    return f"{EPOCH + timedelta(microseconds=first.key):%Y-%m-%d %H:%M} UTC" if first else ""
