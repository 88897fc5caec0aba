# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead letters in a bucket: one value each, found by what identifies the letter.

All programs of an archive see the same. What was read is kept at hand until the bucket changes.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from btcore.journal import DeadLetter, Retention, Unavailable
from btmon_nats.journal.cluster import ChangedMeanwhileError
from btmon_nats.journal.records import Record, Records, token


class Letters:
    """The dead letters of a journal. Safe between threads; methods raise Unavailable."""

    def __init__(self, records: Records) -> None:
        """Take the bucket; nothing is asked."""
        self._records = records
        self._prefix = "letter."
        self._lock = Lock()
        self._tag: tuple[int, int] | None = None
        self._known: list[tuple[str, DeadLetter, int]] = []  # by key, with the time at which each was kept, in ns

    def begin(self, stream: str) -> None:
        """Take which stream it is: of one that was made anew, they would mean other entries."""
        with self._lock:
            self._prefix, self._tag = f"letter.{stream}.", None

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep these; one that is kept already stays as it is. What was kept before a failure stays kept."""
        now = time.time_ns()
        for number, letter in enumerate(letters):
            try:
                self._records.put(self._key(letter), _encode(letter, now + number), 0)
            except ChangedMeanwhileError:
                continue  # it is kept already

    def all(self, is_wanted: Callable[[DeadLetter], bool] = lambda _: True) -> list[DeadLetter]:
        """Return them, oldest first."""
        return [letter for _, letter, _ in self._load() if is_wanted(letter)]

    def replace(self, letters: Sequence[DeadLetter]) -> None:
        """Give those that are kept these reasons."""
        kept = {key: added for key, _, added in self._load()}
        for letter in letters:
            if (added := kept.get(self._key(letter))) is not None:
                self._records.put(self._key(letter), _encode(letter, added))

    def forget(self, letters: Sequence[DeadLetter]) -> None:
        """Forget these."""
        self._records.remove(self._key(letter) for letter in letters)

    def apply(self, retention: Retention) -> Mapping[str, int]:
        """Forget those that are too old or too many; return how many, by sink."""
        before = time.time_ns() - round(retention.dead_letter_age * 1e9)
        gone: Counter[str] = Counter()
        count: Counter[str] = Counter()
        for key, letter, added in reversed(self._load()):
            count[letter.sink] += 1
            if added < before or count[letter.sink] > retention.max_dead_letters:
                self._records.remove([key])
                gone[letter.sink] += 1
        return gone

    def _load(self) -> list[tuple[str, DeadLetter, int]]:
        with self._lock:
            tag = self._records.state()
            if tag != self._tag:
                keys = self._records.keys(self._prefix)
                found = zip(keys, self._records.get_all(keys), strict=True)
                decoded = [(key, *_decode(one)) for key, one in found if one.revision]
                self._known, self._tag = sorted(decoded, key=lambda one: one[2]), tag
            return list(self._known)

    def _key(self, letter: DeadLetter) -> str:
        mark = hashlib.blake2b(repr(letter.identity).encode(), digest_size=16).hexdigest()
        return f"{self._prefix}{token(letter.sink)}.{mark}"


def _encode(letter: DeadLetter, added: int) -> bytes:
    data = {
        "sink": letter.sink,
        "serial": letter.serial,
        "start": letter.start.isoformat(),
        "end": letter.end.isoformat(),
        "why": letter.why,
        "entries": letter.entries,
        "keys": letter.keys,
        "added": added,
    }
    return json.dumps(data).encode()


def _decode(record: Record) -> tuple[DeadLetter, int]:
    try:
        data = json.loads(record.value)
        letter = DeadLetter(
            data["sink"],
            data["serial"],
            datetime.fromisoformat(data["start"]),
            datetime.fromisoformat(data["end"]),
            data["why"],
            tuple(data["entries"]),
            tuple(data["keys"]),
        )
        return letter, data["added"]
    except (ValueError, KeyError, TypeError):
        raise Unavailable("a dead letter in the cluster is none of btcore's: was its bucket used otherwise?") from None
