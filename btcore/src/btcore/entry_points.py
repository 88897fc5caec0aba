# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry points of installed distributions, as `importlib.metadata` finds them, without what it imports.

That module brings 70 others for its messages and archives: a third of the start, and 6 MB. What it is needed for,
such as a distribution within a zip file, it is asked.
"""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import takewhile
from operator import attrgetter
from threading import RLock
from types import ModuleType
from typing import Any

from btcore.classes import frozen

_VALUE = re.compile(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")
"""A module, and what in it (PyPA's specification of entry points)."""

WAIT = 2.0
"""Seconds for which an import waits for one that has begun. One that hangs must not stop the others."""

_one_at_a_time = RLock()

_RECENT = 1_000_000_000
"""Nanoseconds within which a folder may have changed twice and show one time."""

_read: dict[str, tuple[int, Sequence[tuple[str, str]]]] = {}


@frozen
class EntryPoint:
    """One entry point: the group, its name, and what it names: `module:name`."""

    group: str
    name: str
    value: str

    def load(self) -> Any:  # noqa: ANN401 - whatever it names
        """Import what it names. Raises ValueError for a value that names nothing, and whatever the module raises."""
        found = _VALUE.fullmatch(self.value)
        if found is None:
            raise ValueError(f"expected module:name, found {self.value!r:.80}")
        module = _import(found[1])
        return attrgetter(found[2])(module) if found[2] else module


def _import(name: str) -> ModuleType:
    """Import a module; not beside another thread's: modules that need one another would be seen half made."""
    is_alone = _one_at_a_time.acquire(timeout=WAIT)
    try:
        return import_module(name)
    finally:
        if is_alone:
            _one_at_a_time.release()


@frozen
class Distribution:
    """A distribution that has entry points of some group."""

    name: str
    version: str
    entries: tuple[EntryPoint, ...]


def distributions(group: str) -> Iterator[Distribution]:
    """Yield the distributions with entry points of a group, in the order of the path."""
    if any(map(os.path.isfile, sys.path)):
        yield from _by_importlib(group)
        return
    for folder in sys.path:
        for info, text in _texts(folder or "."):
            try:
                entries = tuple(_entries(text, group))
                if entries:
                    yield Distribution(*_name_and_version(info), entries)
            except (OSError, ValueError):  # a distribution that is half there is not ours to judge
                continue


def _texts(folder: str) -> Sequence[tuple[str, str]]:
    """Return each distribution of a folder that has entry points: where it is, and their text.

    A start asks for three groups. What was read is kept until the folder changes; not where that is a moment ago, as
    the next change might have the same time, nor beside an `.egg-info`, which is changed in its place.
    """
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - Path takes a tenth of a start here
        if folder in _read and _read[folder][0] == changed:
            return _read[folder][1]
        with os.scandir(folder) as found:
            infos = [one.path for one in found if one.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return ()
    texts = [(info, text) for info in infos if (text := _text(info))]
    if time.time_ns() - changed > _RECENT and not any(info.endswith(".egg-info") for info in infos):
        _read[folder] = changed, texts
    return texts


def _text(info: str) -> str:
    try:
        with open(f"{info}/entry_points.txt", encoding="utf-8") as file:  # noqa: PTH123 - as above
            return file.read()
    except (OSError, ValueError):
        return ""


def _entries(text: str, group: str) -> Iterator[EntryPoint]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and line[0] not in "#;":
            name, value = line.split("=", 1)
            yield EntryPoint(group, name.strip(), value.strip())


def _name_and_version(info: str) -> tuple[str, str]:
    """Return the name and the version that a distribution says. Raises OSError, ValueError."""
    file = f"{info}/{'METADATA' if info.endswith('.dist-info') else 'PKG-INFO'}"
    fields = {}
    with open(file, encoding="utf-8") as lines:  # noqa: PTH123 - as above
        for line in takewhile(str.strip, lines):  # up to the description, which is long
            name, colon, value = line.partition(":")
            if colon:
                fields[name] = value.strip()
    if "Name" not in fields or "Version" not in fields:
        raise ValueError(f"{file} has no name or no version")
    return fields["Name"], fields["Version"]


def _by_importlib(group: str) -> Iterator[Distribution]:
    from importlib import metadata  # noqa: PLC0415 - nearly nobody needs it

    for one in metadata.distributions():
        try:
            entries = tuple(EntryPoint(group, e.name, e.value) for e in one.entry_points if e.group == group)
            name, version = (str(one.metadata["Name"]), one.version) if entries else ("", "")
        except Exception:  # noqa: BLE001, S112 - as above
            continue
        if entries:
            yield Distribution(name, version, entries)
