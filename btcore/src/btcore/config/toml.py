# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads TOML with the line of every key, and with every syntax mistake.

The parser gives no positions and stops at the first mistake. So the text is split into statements: lines are added to
a statement until the parser accepts it alone. Then its data and its line are known; a statement that is never accepted
is reported and skipped. There is no grammar here but the parser's. The meaning of keys belongs to `load.py`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import tomli

from btcore.classes import define, field, frozen

Key = tuple[str | int, ...]
"""The path to a value: names of tables and keys, and the index in an array of tables."""

HINTS = {
    "Invalid value": 'text must be in quotes: name = "text"',
    "Invalid statement": "a setting is written: name = value",
    "Expected newline or end of document": "write each setting on a line of its own; text must be in quotes",
    "Cannot overwrite": "it is set twice; remove one of the two",
    "Cannot declare": "the table appears twice; merge the two, or rename one",
}


MAX_STATEMENT_LINES = 1000
"""The most lines of one statement: a value that is never closed must not take the rest of the file."""

MAX_REPAIRS = 50
"""The most statements that are removed because they conflict with others: the text is parsed again after each."""


@frozen
class Mistake:
    """One syntax mistake, and its line (from 1)."""

    line: int
    message: str


@frozen
class Statement:
    """One statement: its first line (from 1), its text, its data, and the table that it is in."""

    line: int
    text: str
    data: dict[str, Any]
    table: Key

    @property
    def header(self) -> bool:
        """Whether it opens a table."""
        return _is_header(self.text)

    @property
    def last(self) -> int:
        """Its last line."""
        return self.line + self.text.count("\n") - 1


@frozen
class TomlDocument:
    """The data of a TOML text, as far as it can be read.

    `lines` has the line of every key and table. `mistakes` are the syntax mistakes. `incomplete` are the tables with a
    skipped statement: a setting that is missing there may be in it.
    """

    data: dict[str, Any]
    lines: Mapping[Key, int]
    mistakes: tuple[Mistake, ...] = ()
    incomplete: frozenset[Key] = frozenset()

    def line(self, key: Key) -> int | None:
        """Return the line of a key, or of the nearest table around it that has one."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key)


def read(text: str) -> TomlDocument:
    """Read a TOML text. It never fails: what cannot be read is among the mistakes."""
    splitter = _StatementSplitter(text.replace("\r\n", "\n").removesuffix("\n").split("\n"))
    statements = splitter.split()
    mistakes, incomplete = splitter.mistakes, splitter.incomplete
    data: dict[str, Any] = {}
    for _ in range(MAX_REPAIRS):
        try:
            data = tomli.loads(_joined(statements))
        except (ValueError, RecursionError) as error:
            statements, bad = _without_conflict(statements, error)
            mistakes.append(Mistake(bad.line, _message(error)))
            incomplete.add(bad.table)
        else:
            break
    return TomlDocument(data, _lines(statements), tuple(sorted(mistakes, key=_by_line)), frozenset(incomplete))


@define
class _StatementSplitter:
    """Splits lines into statements."""

    source: list[str]
    table: Key = ()
    mistakes: list[Mistake] = field(factory=list)
    incomplete: set[Key] = field(factory=set)
    _skipping_table: bool = False  # after an invalid header: the table of these keys is not known
    _skipping_value: bool = False  # after an invalid value: the rest of it is not another mistake

    def split(self) -> list[Statement]:
        """Return the statements that the parser accepts alone."""
        found: list[Statement] = []
        at = 0
        while at < len(self.source):
            statement, after = self._next(at)
            at = after
            if statement and not self._skipping_table:
                found.append(statement)
        return found

    def _next(self, at: int) -> tuple[Statement | None, int]:
        text = ""
        for end in range(at, min(at + MAX_STATEMENT_LINES, len(self.source))):
            text += self.source[end] + "\n"
            try:
                data = tomli.loads(text)
            except (ValueError, RecursionError) as error:
                line = _line_of(error)
                if line is not None:
                    return None, self._record_mistake(at, at + line - 1, error)
                last = error
            else:
                return self._statement(at, text, data), end + 1
        return None, self._record_mistake(at, at, last, unclosed=True)

    def _statement(self, at: int, text: str, data: dict[str, Any]) -> Statement:
        if data:
            self._skipping_value = False
        if _is_header(text):
            self.table, self._skipping_table = _only_path(data), False
        return Statement(at + 1, text, data, self.table)

    def _record_mistake(self, at: int, bad: int, error: Exception, *, unclosed: bool = False) -> int:
        header = _is_header(self.source[at])
        if not self._skipping_value:
            where = f", in the value that starts at line {at + 1}" if bad > at else ""
            message = _unclosed(self.source[at]) if unclosed else _message(error, self.source[bad], begins=bad == at)
            self.mistakes.append(Mistake(bad + 1, message + where))
            self.incomplete.add(self.table)
            self._skipping_table = self._skipping_table or header
        self._skipping_value = self._skipping_value or unclosed or bad > at
        return max(bad, at + 1)


def _is_header(text: str) -> bool:
    return text.lstrip().startswith("[")


def _only_path(data: Mapping[str, Any]) -> Key:
    """Return the path of the table that a header opens."""
    path: Key = ()
    here: Any = data
    while here:
        name, here = next(iter(here.items()))
        path += (name,)
        here = here[-1] if isinstance(here, list) else here
    return path


def _line_of(error: Exception) -> int | None:
    """Return the line at which the parser stopped; None at the end of the text: more lines may complete it."""
    found = re.search(r"\(at line (\d+), column \d+\)$", str(error))
    if found:
        return int(found[1])
    # other errors (nested too deeply, a number too long) are not resolved by more lines either
    return None if "end of document" in str(error) else 1


def _unclosed(line: str) -> str:
    from btcore.config.toml_mistakes import lookalike_character  # noqa: PLC0415 - only where there is a mistake

    return lookalike_character(line) or "this is not TOML: the text, list or table that starts here is never closed"


def _message(error: Exception, line: str = "", *, begins: bool = True) -> str:
    """Return the message of a mistake, by the line at which the parser stopped; `begins` as in `Line`."""
    from btcore.config.toml_mistakes import Line, describe_mistake  # noqa: PLC0415 - as above

    text = re.sub(r" \(at [^()]*\)$", "", str(error))
    found = re.search(r"column (\d+)\)$", str(error))
    column = int(found[1]) - 1 if found else 0
    if line and (words := describe_mistake(Line(line[:column], line[column:], text, begins))):
        return words
    hint = next((hint for start, hint in HINTS.items() if text.startswith(start)), "")
    return f"this is not TOML: {text}" + (f"; {hint}" if hint else "")


def _joined(statements: list[Statement]) -> str:
    """Join the statements, each at its own line."""
    text = ""
    at = 1
    for statement in statements:
        text += "\n" * (statement.line - at) + statement.text
        at = statement.last + 1
    return text


def _without_conflict(statements: list[Statement], error: Exception) -> tuple[list[Statement], Statement]:
    """Remove the statement that conflicts with earlier ones; if it is a header, also all statements of its table."""
    line = _line_of(error) or statements[-1].last
    at = next(i for i, statement in enumerate(statements) if statement.last >= line)
    end = at + 1
    if statements[at].header:
        end = next((i for i in range(end, len(statements)) if statements[i].header), len(statements))
    return statements[:at] + statements[end:], statements[at]


def _lines(statements: list[Statement]) -> dict[Key, int]:
    lines: dict[Key, int] = {}
    elements: Counter[Key] = Counter()
    for statement in statements:
        table = statement.table
        if statement.header:
            if statement.text.lstrip().startswith("[["):
                elements[table] += 1
            lines[_numbered(table, elements)] = statement.line
        paths = [()] if statement.header else list(_paths(statement.data))
        for path in paths:
            path_from_root = _numbered(table, elements) + path
            for length in range(1, len(path_from_root) + 1):
                lines.setdefault(path_from_root[:length], statement.line)
    return lines


def _numbered(table: Key, elements: Mapping[Key, int]) -> Key:
    """Insert the index of the element into a path inside an array of tables."""
    path: Key = ()
    for length in range(1, len(table) + 1):
        path += (table[length - 1],)
        count = elements.get(table[:length], 0)
        path += (count - 1,) if count else ()
    return path


def _paths(data: Mapping[str, Any], before: Key = ()) -> Iterator[Key]:
    for name, value in data.items():
        yield (*before, name)
        if isinstance(value, dict):
            yield from _paths(value, (*before, name))


def _by_line(mistake: Mistake) -> int:
    return mistake.line
