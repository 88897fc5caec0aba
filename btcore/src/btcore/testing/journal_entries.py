# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries and dead letters for the tests of a journal, and the death of a process in the midst of an append."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore.journal import DeadLetter, Entry, Journal, Offset, Retention

ANY_AGE = Retention(-3600)
"""What keeps no entry for its age: also those of the next hour are older."""

NOON = datetime(2026, 6, 21, 12, tzinfo=UTC)

SINKS = ("sink.a", "sink.b")


class DiedError(BaseException):
    """What stands for the death of the process in the midst of an append."""


class HalfDone(list[Entry]):
    """Entries of which the last cannot be had any more: the process dies before."""

    def __iter__(self) -> Iterator[Entry]:
        """Yield all of them, then die."""
        yield from super().__iter__()
        raise DiedError


def make_entry(key: int, raw: bytes = b"", serial: str = "1") -> Entry:
    """Make an entry; its packet says of which meter and of which time it is, and `raw` tells two such packets apart."""
    return Entry(key, "source.test", serial, "ecm1220bin", b"%s %d %s" % (serial.encode(), key, raw))


def time_of(raw: bytes) -> int:
    """Return the time that a packet of `make_entry` says."""
    return int(raw.split()[1])


def make_dead_letter(sink: str, *entries: Entry) -> DeadLetter:
    """Make the dead letter of a sample between entries of the first one's meter."""
    serial = entries[0].serial if entries else "1"
    offsets, keys = tuple(one.offset for one in entries), tuple(one.key for one in entries)
    return DeadLetter(sink, serial, NOON, NOON + timedelta(seconds=10), "refused", offsets, keys)


def forget(journal: Journal, sinks: Sequence[str], retention: Retention = ANY_AGE) -> int:
    """Let a journal forget all that it may; return how many entries are gone."""
    return sum(one.entries for one in journal.apply_retention(sinks, retention))


def offsets_of(entries: Sequence[Entry]) -> list[Offset]:
    """Return where entries are."""
    return [one.offset for one in entries]
