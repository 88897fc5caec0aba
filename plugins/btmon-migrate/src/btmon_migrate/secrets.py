# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and keys, moved out of a site.toml into files of their own that only their owner can read."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from btmon_migrate.toml import SecretText, Table, Toml

DIRECTORY = "secrets"
"""Where they are kept, beside site.toml."""


def move_secrets(tables: Iterable[Table]) -> dict[str, str]:
    """Have the tables refer to files; return what each file is to hold, by its path beside site.toml."""
    files: dict[str, str] = {}
    for table in tables:
        for name, value in table.settings.items():
            table.settings[name] = _moved(value, f"{table.header.partition('.')[2]}-{name}", files)
    return files


def write_secrets(files: Mapping[str, str], beside: Path) -> Iterator[Path]:
    """Write the files, readable by their owner alone; yield each once it is there, before its text is.

    Raises OSError, FileExistsError if one is there already.
    """
    if files:
        (beside / DIRECTORY).mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        file = beside / name
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yield file
            stream.write(text + "\n")


def _moved(value: Toml, name: str, files: dict[str, str]) -> Toml:
    if isinstance(value, SecretText) and value.text:
        file = f"{DIRECTORY}/{re.sub(r'[^A-Za-z0-9_-]', '-', name)}"
        files[file] = value.text
        return SecretText(value.text, file)
    if isinstance(value, Mapping):
        return {key: _moved(one, f"{name}-{key}", files) for key, one in value.items()}
    return value
