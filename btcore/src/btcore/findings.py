"""The mistakes of one configuration as they are found: each gets its place, and all are told together."""

import difflib
import json
import re
from collections.abc import Iterable

import attrs

from btcore.errors import ConfigurationError, Problem
from btcore.mismatch import covered
from btcore.positions import Document, Key

IN_A_TABLE = 2
"""Names that make up a table that is one source, sink or decoder: `sink`, `roof`."""

LIKE = 0.6
"""How like a word has to be to another, of 1, to be told as what may have been meant."""

SAME_PART = 0.4
"""How like each part of it has to be, between lines below or hyphens."""

LONGEST = 100
"""Characters of a word that is compared with others."""

MOST_HINTS = 3
"""Words that are told as what may have been meant; where more are equally like, none is."""


@attrs.define
class Findings:
    """Collects the problems of one file, warnings of what is no mistake, and the secrets that no message may repeat."""

    file: str
    document: Document
    problems: list[Problem] = attrs.field(factory=list)
    secrets: list[str] = attrs.field(factory=list, repr=False)
    warnings: list[Problem] = attrs.field(factory=list)

    def add(self, path: Key, message: str) -> None:
        """Note a mistake at a key."""
        self.problems.append(self._problem(path, message))

    def warn(self, path: Key, message: str) -> None:
        """Note what is no mistake, but should be otherwise."""
        self.warnings.append(self._problem(path, message, warning=True))

    def _problem(self, path: Key, message: str, *, warning: bool = False) -> Problem:
        table, key = self._place(path)
        return Problem(message, key, table, self.document.line(path), self.file, warning)

    def add_foreign(self, path: Key, message: str) -> None:
        """Note a mistake in words that are not the core's own: what they may repeat of a secret is covered."""
        self.add(path, self.covered(message))

    def warn_foreign(self, path: Key, message: str) -> None:
        """Note what is no mistake in words that are not the core's own."""
        self.warn(path, self.covered(message))

    def covered(self, text: str) -> str:
        """Return a text with every secret in it covered."""
        return covered(text, self.secrets)

    def raise_all(self) -> None:
        """Raise ConfigurationError with all problems in the order of the file, if there are any."""
        if self.problems:
            raise ConfigurationError(sorted(self.problems, key=lambda problem: problem.line or 0), self.warnings)

    def _place(self, path: Key) -> tuple[str, str]:
        depth = 1 if path[:1] in (("channels",), ("meters",)) else IN_A_TABLE
        if len(path) < depth:
            return "", _written(path)
        return _written(path[:depth]), _written(path[depth:])


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like this one, whatever they say, or nothing: for a number among numbers."""
    found = difflib.get_close_matches(word[:LONGEST], list(known), n=1)
    return found[0] if found else ""


def likely(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words of which this one may be a slip of the fingers: all that are most like it.

    One that says something else is none, however like it is: `retry_min` is not `retry_max`, `gem36` is not `gem32`.
    """
    if len(word) > LONGEST:
        return []
    near = {other: _likeness(word, other) for other in known if not _says_another_thing(word, other)}
    best = max(near.values(), default=0.0)
    return [other for other, likeness in near.items() if likeness == best] if best >= LIKE else []


def nearest(word: str, known: Iterable[str], before: str = "") -> str:
    """Return `; did you mean "x"?` for the known words that are most like this one, or nothing.

    `before` is what stands before the word, and is kept.
    """
    found = likely(word, known)
    several = " or ".join(f'"{before}{other}"' for other in found)
    return f"; did you mean {several}?" if 0 < len(found) <= MOST_HINTS else ""


def _likeness(word: str, other: str) -> float:
    return difflib.SequenceMatcher(None, word.lower(), other.lower()).ratio()


def _says_another_thing(word: str, other: str) -> bool:
    """Whether two words differ in a number, or in a whole part: that is no slip."""
    numbers = re.findall(r"\d+", word), re.findall(r"\d+", other)
    if all(numbers) and sorted("".join(numbers[0])) != sorted("".join(numbers[1])):
        return True
    parts = re.split(r"[_-]", word), re.split(r"[_-]", other)
    return len(parts[0]) == len(parts[1]) and any(
        _likeness(one, two) < SAME_PART for one, two in zip(*parts, strict=True)
    )


def _written(path: Key) -> str:
    """Write a key as the file does: in quotes where it has to be. Items of a list are counted from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f" item {part + 1}"
        else:
            text += f".{part}" if re.fullmatch(r"[A-Za-z0-9_-]+", part) else "." + json.dumps(part, ensure_ascii=False)
    return text.removeprefix(".")
