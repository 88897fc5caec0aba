# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry points of installed distributions, as `importlib.metadata` finds them, without what it imports.

That module brings 70 others for its messages and archives: a third of the start, and 6 MB. What it is needed for,
such as a distribution within a zip file, it is asked.
"""

import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from btcore.classes import frozen

_VALUE = re.compile(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")
"""A module, and what in it (PyPA's specification of entry points)."""

WAIT = 2.0
"""Seconds for which an import waits for one that has begun. One that hangs must not stop the others."""

_one_at_a_time = RLock()


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
    folders = [Path(one) for one in sys.path]
    if any(folder.is_file() for folder in folders):
        yield from _by_importlib(group)
        return
    for folder in folders:
        yield from _in_folder(folder, group)


def _in_folder(folder: Path, group: str) -> Iterator[Distribution]:
    try:
        with os.scandir(folder) as found:
            infos = [folder / one.name for one in found if one.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return
    for info in infos:
        try:
            entries = tuple(_entries((info / "entry_points.txt").read_text(encoding="utf-8"), group))
            if entries:
                yield Distribution(*_name_and_version(info), entries)
        except (OSError, ValueError):  # a distribution that is half there is not ours to judge
            continue


def _entries(text: str, group: str) -> Iterator[EntryPoint]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and "=" in line and line[0] not in "#;":
            name, value = line.split("=", 1)
            yield EntryPoint(group, name.strip(), value.strip())


def _name_and_version(info: Path) -> tuple[str, str]:
    """Return the name and the version that a distribution says. Raises OSError, ValueError."""
    file = info / ("METADATA" if info.suffix == ".dist-info" else "PKG-INFO")
    head, _, _ = file.read_text(encoding="utf-8").partition("\n\n")
    fields = {
        name: value.strip() for name, colon, value in (line.partition(":") for line in head.splitlines()) if colon
    }
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
