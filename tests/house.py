# SPDX-License-Identifier: GPL-3.0-or-later
"""The house: the wings of the core, their rooms, and which imports which. `python tests/house.py` prints it."""

import ast
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

CORE = Path(__file__).parents[1] / "btcore" / "src" / "btcore"

WINGS = (
    "",  # what all others use, and what a plugin may import: records, formats, settings, hooks
    "logs",
    "web",
    "serve",
    "control",
    "journal",
    "sqlite_journal.files",
    "sqlite_journal.tables",
    "sqlite_journal",
    "decode",
    "polling",
    "device",
    "sql",
    "capture",
    "calculate",
    "imports",
    "virtual",
    "values",
    "config",
    "replay",
    "status",
    "sources",
    "sinks",
    "workers",
    "mending",
    "runtime",
    "doctor",
    "testing",
    "cli",
)
"""The wings, along the road of the data: each may import itself and those before it."""

PUBLIC = {"__init__", "__main__"}
"""Modules of the first wing that only pass on names: they stand at no place on the road."""


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Return the modules that a file imports, wherever in it."""
    return tuple(_imports(ast.parse(file.read_text())))


def _imports(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from btcore.runtime import state_directory` imports a room
            yield from (f"{node.module}.{name.name}" for name in node.names)


@cache
def rooms() -> Mapping[str, Path]:
    """Return the rooms of the core by the names of their modules, `sinks.worker`; a wing's own module by its name."""
    found = {}
    for file in CORE.rglob("*.py"):
        parts = file.relative_to(CORE).with_suffix("").parts
        if not (len(parts) == 1 and parts[0] in PUBLIC):
            found[".".join(part for part in parts if part != "__init__")] = file
    return found


@cache
def wing(room: str) -> str:
    """Return the wing that a room is in, the innermost folder; "" is the first."""
    parts = room.split(".")
    folders = [parts[:count] for count in range(len(parts), 0, -1) if CORE.joinpath(*parts[:count]).is_dir()]
    return ".".join(folders[0]) if folders else ""


@cache
def arrows() -> Mapping[str, frozenset[str]]:
    """Return for each room the other rooms that it imports."""
    all_rooms = rooms()
    return {
        room: frozenset(
            name
            for module in imports(file)
            if (name := module.removeprefix("btcore.")) in all_rooms and name not in (module, room)
        )
        for room, file in all_rooms.items()
    }


def backward(wings: Iterable[str] = WINGS) -> list[str]:
    """Return the imports that run against the road."""
    place = {name: at for at, name in enumerate(wings)}
    return [
        f"{room} imports {other}"
        for room, others in sorted(arrows().items())
        for other in sorted(others)
        if place[wing(other)] > place[wing(room)]
    ]


def circles(arrows: Mapping[str, Collection[str]]) -> list[str]:
    """Return the rooms that import each other, however far round."""
    left = {room: set(others) for room, others in arrows.items()}
    while free := [room for room, others in left.items() if not others & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


def main() -> None:
    """Print each wing with its rooms, and the wings that it imports."""
    between: defaultdict[str, set[str]] = defaultdict(set)
    members: defaultdict[str, list[str]] = defaultdict(list)
    for room, others in arrows().items():
        members[wing(room)].append(room.rpartition(".")[2])
        between[wing(room)] |= {wing(other) for other in others} - {wing(room)}
    for name in WINGS:
        sys.stdout.write(f"{name or 'btcore'}: {' '.join(sorted(members[name]))}\n")
        used = ", ".join(other or "btcore" for other in WINGS if other in between[name])
        sys.stdout.write(f"    imports {used or 'nothing'}\n")
    sys.stdout.write("\n".join(["", "against the road:", *(backward() or ["nothing"])]) + "\n")
    sys.stdout.write("\n".join(["in circles:", *(circles(arrows()) or ["nothing"])]) + "\n")


if __name__ == "__main__":
    main()
