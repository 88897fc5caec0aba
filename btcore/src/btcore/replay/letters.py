# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead letters as a person names, lists and retries them: their ids, and the steps that deliver them after all."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from btcore.calculate.links import NEW, Lifetime, Link
from btcore.calculate.samples import sample_of_link
from btcore.calculate.sampling import Step
from btcore.calculate.transition import Transition, transition_between
from btcore.classes import evolve
from btcore.decode.decoders import Decoders
from btcore.digest import sha256
from btcore.journal import DeadLetter, Journal
from btcore.records import Reading
from btcore.settings import Polarity

ID_DIGITS = 10
"""Of a dead letter's id: enough for the dead letters of any journal."""

ENDS = 2
"""Readings of a sample."""


def id_of(letter: DeadLetter) -> str:
    """Return the id by which a person names a dead letter: it follows from its identity."""
    text = json.dumps([letter.sink, letter.serial, list(letter.keys)], separators=(",", ":"))
    return sha256(text.encode()).hex()[:ID_DIGITS]


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as the commands print it."""
    return {
        "id": id_of(letter),
        "sink": letter.sink,
        "serial": letter.serial,
        "start": letter.start.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "end": letter.end.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "reason": letter.why,
        "readings": list(letter.entries),
    }


def select_letters(
    letters: Iterable[DeadLetter], sinks: Sequence[str] = (), meters: Sequence[str] = (), ids: Sequence[str] = ()
) -> list[DeadLetter]:
    """Return those of some sinks, meters and ids; where one of these is empty, it selects all."""
    return [
        one
        for one in letters
        if (not sinks or one.sink in sinks) and (not meters or one.serial in meters) and (not ids or id_of(one) in ids)
    ]


class LetterIndex:
    """Finds the dead letters that a step of the journal's history delivers, by the offsets of their readings."""

    def __init__(self, letters: Iterable[DeadLetter]) -> None:
        """Take the letters to find."""
        self.letters = {one.entries: one for one in letters}

    def take(self, step: Step) -> tuple[Step | None, list[DeadLetter]]:
        """Return what of a step delivers letters, and these: each is found once."""
        samples = tuple(one for one in step.samples if (one.older.offset, one.newer.offset) in self.letters)
        with_sample = {sample.newer.offset for sample in samples}
        alone = {one.offset for one in step.readings if (one.offset,) in self.letters}
        found = [self.letters.pop((one.older.offset, one.newer.offset)) for one in samples]
        found += [self.letters.pop((offset,)) for offset in alone]
        readings = tuple(one for one in step.readings if one.offset in with_sample | alone)
        return (evolve(step, readings=readings, samples=samples) if found else None), found


def rebuild(
    letter: DeadLetter, journal: Journal, decoders: Decoders, polarity: Polarity, lifetime: Lifetime = NEW
) -> Step | str:
    """Return the step of a dead letter, of its own readings alone; or why there is none.

    It is for a letter whose neighbours the journal has forgotten. `lifetime` is that of the meter then.
    """
    readings = [one for entry in journal.get(letter.entries) if (one := decoders.read_entry(entry)) is not None]
    if not letter.entries or len(readings) != len(letter.entries):
        return "its readings are not in the journal any more, or no decoder of the configuration reads them"
    newer = readings[-1]
    if len(readings) < ENDS:
        return Step((newer,), (), newer.offset)
    return _sample_step(readings[0], newer, polarity, lifetime)


def _sample_step(older: Reading, newer: Reading, polarity: Polarity, lifetime: Lifetime) -> Step | str:
    transition = transition_between(older, newer)
    if not isinstance(transition, Transition):
        return f"its two readings make no sample by themselves ({transition.value})"
    link = Link(newer, newer.serial, older, transition, lifetime=lifetime)
    return Step((newer,), (sample_of_link(link, polarity),), newer.offset)
