# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of a journal that is opened on what a power cut has left: each broken promise as a line."""

import sqlite3
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import attrs
from power.workload import FILE, METERS, SINKS, SOURCE, Known, SmallJournal

from btcore.errors import BtcoreError, Unavailable
from btcore.journal import Checkpoint, Damage, Entry, Offset

ALL = 1 << 20


@attrs.frozen
class Expected:
    """What was acknowledged: by the last moment at which all was on the disk, and by the power cut.

    `begun` has what was under way besides. `is_always`: with `sync = "always"`. `is_mending`: the power was cut while
    damage was mended: then of two damages, both may cost something.
    """

    durable: Known
    done: Known
    begun: Known
    is_always: bool
    is_mending: bool

    @property
    def lost(self) -> frozenset[Offset]:
        """What was lost by damage before the power cut: a page of the log that was written over."""
        return frozenset(self.done.versions.keys() - self.done.entries.keys() - self.done.forgotten)


@attrs.define
class Found:
    """What a journal has after a power cut: `damages` are new, `is_damaged` says whether it remembers any."""

    entries: dict[Offset, Entry]
    damages: Sequence[Damage]
    is_damaged: bool


def broken_promises(state: Path, expected: Expected) -> list[str]:
    """Open the journal in a directory, and return what it has broken."""
    try:
        with closing(SmallJournal(state / FILE, always_sync=expected.is_always)) as journal:
            return list(_broken(journal, expected))
    except (BtcoreError, sqlite3.Error, OSError, LookupError, ValueError, TypeError, AssertionError) as error:
        return [f"it cannot be used: {error!r} at {traceback.extract_tb(error.__traceback__)[-1]}"]


def open_and_close(state: Path) -> None:
    """Open the journal in a directory, have it mend what it finds, and close it; what is broken shows later."""
    with suppress(BtcoreError, sqlite3.Error, OSError), closing(SmallJournal(state / FILE)) as journal:
        journal.inspect()


def _broken(journal: SmallJournal, expected: Expected) -> Iterator[str]:
    if expected.is_mending:
        _find_two_moments(journal)
    found = Found({one.offset: one for one in journal.read(0, ALL)}, journal.inspect(), bool(journal.damages))
    yield from _missing(found, expected)
    yield from _invented(found, expected)
    yield from _halved(found, expected)
    yield from _told(found, expected)
    yield from _marks(journal, found, expected)
    yield from _collecting(journal, found)
    if not expected.is_mending:
        yield from journal.check()


def _find_two_moments(journal: SmallJournal) -> None:
    """Have each sink's checkpoint read, as when the sinks start: one whose log was removed is told, and mended then."""
    for sink in SINKS:
        with suppress(Unavailable):
            journal.checkpoint(sink)


def _missing(found: Found, expected: Expected) -> Iterator[str]:
    """Find what was on the disk and is not there: with `always`, of all that was acknowledged."""
    if expected.is_mending:
        return
    must = expected.done if expected.is_always else expected.durable
    if gone := sorted(must.entries.keys() - expected.begun.forgotten - expected.lost - found.entries.keys()):
        yield f"{len(gone)} readings are lost that were on the disk: {gone[:5]}"


def _invented(found: Found, expected: Expected) -> Iterator[str]:
    for offset, entry in found.entries.items():
        if entry not in expected.begun.versions.get(offset, ()):
            yield f"the reading at {offset} was never appended: {entry}"
    if expected.is_mending or found.is_damaged:  # they may come back; that no sink gets them is seen in `_sink`
        return
    forgotten = expected.durable.forgotten & expected.done.forgotten
    if back := sorted(forgotten & found.entries.keys()):
        yield f"{len(back)} readings have come back that were forgotten: {back[:5]}"


def _halved(found: Found, expected: Expected) -> Iterator[str]:
    """Find what was appended at once, and of which only some is there."""
    if expected.is_mending or found.is_damaged:  # what is brought back then is brought back reading by reading
        return
    there = {expected.begun.groups[offset] for offset in found.entries if offset in expected.begun.groups}
    gone = expected.begun.versions.keys() - expected.begun.forgotten - expected.lost - found.entries.keys()
    if halved := {expected.begun.groups[offset] for offset in gone} & there:
        yield f"of what was appended at once, only some is there (steps {sorted(halved)})"


def _told(found: Found, expected: Expected) -> Iterator[str]:
    """Find losses that are told, and are none."""
    if expected.is_mending:
        return
    lost = len(expected.begun.entries.keys() - found.entries.keys())
    for damage in found.damages:
        if damage.lost and damage.lost > lost:
            yield f"{damage.lost} readings are told to be lost, and {lost} are: {damage.text}"


def _marks(journal: SmallJournal, found: Found, expected: Expected) -> Iterator[str]:
    """Find what is remembered, and never was so, or is older than what was on the disk."""
    for sink in SINKS:
        yield from _sink(journal.checkpoint(sink), sink, expected)
    yield from _source(journal.source_checkpoint(SOURCE), found, expected)
    if not expected.is_mending:
        letters = {one.identity for one in journal.dead_letters()}
        surely = expected.durable.letters.keys() & expected.done.letters.keys()  # else lost by damage since
        if letters - expected.begun.letters.keys() or surely - letters:
            yield f"dead letters are {letters}"


def _sink(kept: Checkpoint | None, sink: str, expected: Expected) -> Iterator[str]:
    past = expected.begun.checkpoints.get(sink, ())
    surely = len(expected.durable.checkpoints.get(sink, ()))
    possible = [None, *past] if not surely or expected.is_mending else past[surely - 1 :]
    if kept not in possible and not (
        expected.is_mending and any(_is_part(kept, one, past) or _has_gone_back(kept, one) for one in past)
    ):
        yield f"the checkpoint of {sink} is {kept}, and not one of {possible}"


def _source(state: str, found: Found, expected: Expected) -> Iterator[str]:
    states = dict(expected.begun.states)
    surely = len(expected.durable.states)
    possible = ["", *states] if not surely or expected.is_mending else list(states)[surely - 1 :]
    if state not in possible:
        yield f"the source is at {state!r}, and not at one of {possible}"
    elif not expected.is_mending:
        before = {offset for offset in expected.begun.entries if offset <= states.get(state, 0)}
        if gone := sorted(before - found.entries.keys()):
            yield f"the source goes on after {state!r}, and {len(gone)} readings before that are lost: {gone[:5]}"


def _is_part(kept: Checkpoint | None, one: Checkpoint, past: Sequence[Checkpoint]) -> bool:
    """Whether a checkpoint was so, but for baselines that were lost, or are those of an earlier one."""
    return (
        kept is not None
        and attrs.evolve(kept, baselines=one.baselines) == one
        and all(any(other.baselines.get(key) == found for other in past) for key, found in kept.baselines.items())
    )


def _has_gone_back(kept: Checkpoint | None, one: Checkpoint) -> bool:
    """Whether a checkpoint that nothing confirms any more passes over no reading, with baselines that were so."""
    return (
        kept is not None
        and kept.examined == kept.offset <= one.offset
        and kept.baselines.items() <= one.baselines.items()
    )


def _collecting(journal: SmallJournal, found: Found) -> Iterator[str]:
    """See that what comes in next gets an offset that nothing refers to, and that each sink gets it."""
    new = journal.append([Entry(7 * 10**9, "panel", METERS[0], "ecm1220bin", b"after the power cut")]).kept[0]
    references = [*found.entries]
    for sink in SINKS:
        if kept := journal.checkpoint(sink):
            references += [kept.offset, kept.examined, *(one.offset for one in kept.baselines.values())]
            if new not in journal.read(kept.offset, ALL):
                yield f"{sink} is at {kept.offset}, and would not get the next reading, at {new.offset}"
    references += [offset for letter in journal.dead_letters() for offset in letter.entries]
    if new.offset <= max(references, default=0):
        yield f"the next reading has offset {new.offset}, and one of {max(references)} is remembered"
    if journal.read(new.offset - 1, ALL) != [new] or journal.newest() != new.offset:
        yield "what was appended after the power cut is not there"
