"""What is told of a sink that begins again: what it looks at again, and what it can have that it did not want."""

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore.journal import Cursor, Entry

LONG = 10_000
"""Places of which a sink wanted nothing: to look at more of them again after each restart is told."""

LOOKED = 1000
"""Entries that are looked at for one that is not kept for its baseline alone."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Read = Callable[[int, int], Sequence[Entry]]
"""Reads the entries after a place, at most so many."""


def again(cursor: Cursor, settings: str, read: Read) -> Iterator[str]:
    """Yield lines for the log. `settings` is the mark of those that the sink begins with."""
    is_changed = cursor.settings not in {"", settings}
    bases = {base.seq for base in cursor.bases.values()}
    unwanted = _since(cursor.position, cursor.seen, read)
    if unwanted and (is_changed or cursor.seen - cursor.position > LONG):
        why = "its settings changed: " if is_changed else ""
        yield f"{why}looking again at the readings since {unwanted}, of which nothing was delivered"
    missed = _since(cursor.missed - 1, cursor.position, read, bases) if is_changed and cursor.missed else ""
    if missed:
        yield (
            f"its settings changed, and among the readings since {missed} are some that it did not want before; it can"
            ' have them, with all others since then: docs/journal.md, "To have a sink delivered everything again"'
        )


def _since(after: int, until: int, read: Read, bases: Container[int] = ()) -> str:
    """Return when the first reading between two places came in, but for baselines; nothing where none is kept."""
    entries = read(after, LOOKED if bases else 1) if until > after else ()
    first = next((entry for entry in entries if entry.seq <= until and entry.seq not in bases), None)
    return f"{EPOCH + timedelta(microseconds=first.key):%Y-%m-%d %H:%M} UTC" if first else ""
