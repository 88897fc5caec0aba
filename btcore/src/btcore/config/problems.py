# SPDX-License-Identifier: GPL-3.0-or-later
"""The problems of one configuration: each gets its file, line, table and key, and all are raised together."""

import json
import re

from btcore.classes import define, field
from btcore.config.toml import Key, TomlDocument
from btcore.errors import ConfigurationError, Problem
from btcore.redaction import redact

SINGLE_TABLES = ("channels", "meters", "metrics", "journal", "tariff")
"""The tables without a name of their own."""

ALSO_A_SETTING = "journal"
"""The table that may be a single value instead."""

IN_A_TABLE = 2
"""The number of names in the header of a source, sink or decoder: `sink`, `roof`."""


@define
class Problems:
    """Collects the problems and warnings of one file, and the secrets that no message may contain."""

    file: str
    document: TomlDocument
    problems: list[Problem] = field(factory=list)
    secrets: list[str] = field(factory=list, repr=False)
    warnings: list[Problem] = field(factory=list)

    def add(self, path: Key, message: str) -> None:
        """Add a mistake at a key."""
        self.problems.append(self._problem(path, message))

    def warn(self, path: Key, message: str) -> None:
        """Add a warning at a key."""
        self.warnings.append(self._problem(path, message, warning=True))

    def _problem(self, path: Key, message: str, *, warning: bool = False) -> Problem:
        table, key = self._table_and_key(path)
        return Problem(message, key, table, self.document.line(path), self.file, warning)

    def add_redacted(self, path: Key, message: str) -> None:
        """Add a mistake with a plugin's text, in which secrets are redacted."""
        self.add(path, self.redact(message))

    def warn_redacted(self, path: Key, message: str) -> None:
        """Add a warning with a plugin's text, in which secrets are redacted."""
        self.warn(path, self.redact(message))

    def redact(self, text: str) -> str:
        """Return a text with every secret redacted."""
        return redact(text, self.secrets)

    def raise_all(self) -> None:
        """Raise ConfigurationError with all problems in the order of the file, if there are any."""
        if self.problems:
            raise ConfigurationError(sorted(self.problems, key=lambda problem: problem.line or 0), self.warnings)

    def _table_and_key(self, path: Key) -> tuple[str, str]:
        depth = 1 if path[:1] and path[0] in SINGLE_TABLES else IN_A_TABLE
        if len(path) < depth or path == (ALSO_A_SETTING,):
            return "", format_key(path)
        return format_key(path[:depth]), format_key(path[depth:])


def format_key(path: Key) -> str:
    """Return a key as the file writes it, in quotes if necessary. Items of a list are counted from 1."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f" item {part + 1}"
        else:
            text += f".{part}" if re.fullmatch(r"[A-Za-z0-9_-]+", part) else "." + json.dumps(part, ensure_ascii=False)
    return text.removeprefix(".")
