# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzes parsers, one after the other: `python tests/fuzz/run.py SECONDS [NAME ...]`; `nox -s fuzz` fuzzes all.

With atheris, which follows the paths that bytes take through the code; without it hypothesis makes them.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from types import ModuleType

ROOMS = {
    "incoming": ("binary", "texts", "stream", "splitter", "requests", "answers", "recognition"),
    "files": ("captures", "logs", "tables", "imports", "pages"),
    "texts": ("toml", "configuration", "expressions", "control", "services", "btmon-configuration"),
}
"""The parsers of each room."""

FOLLOWED = [
    *("btmon_ascii", "btmon_http", "btmon_migrate"),
    *(
        f"btcore.{wing}"
        for wing in ("decode", "device", "capture", "imports", "config", "values", "virtual", "control")
    ),
    *("btcore.web", "btcore.sqlite_journal.files"),
]
"""The modules whose paths are followed."""


def room_of(name: str) -> ModuleType:
    """Return the room of a parser."""
    return import_module(f"fuzz.{next(room for room, names in ROOMS.items() if name in names)}")


def fuzz_by_coverage(name: str, seconds: int) -> None:
    """Fuzz for so many seconds with atheris, which ends this process."""
    atheris = import_module("atheris")  # it is not there on every system
    with atheris.instrument_imports(include=FOLLOWED):
        parser = room_of(name).PARSERS[name]  # what is imported here is followed
    found = tempfile.mkdtemp(prefix="fuzz-")  # where the bytes are kept that break something
    bounds = [
        f"-artifact_prefix={found}/",
        f"-max_total_time={seconds}",
        "-max_len=2048",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    atheris.Setup([f"{sys.argv[0]} {name}", *bounds], parser)
    atheris.Fuzz()


def fuzz_by_chance(name: str, seconds: int) -> None:
    """Fuzz for so many seconds with hypothesis."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415 - the other way needs none of it
    from hypothesis import strategies as st  # noqa: PLC0415

    parser = room_of(name).PARSERS[name]
    count = 0

    @settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=600))
    def once(data: bytes) -> None:
        nonlocal count
        count += 1
        parser(data)

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        once()
    sys.stderr.write(f"{name}: {count} inputs, by chance\n")


def main(seconds: str, *names: str) -> int:
    """Fuzz one parser, or each of several in a process of its own; all, where none is named."""
    if len(names) == 1:
        is_there = importlib.util.find_spec("atheris") is not None
        (fuzz_by_coverage if is_there else fuzz_by_chance)(names[0], int(seconds))
        return 0
    broken = []
    for name in names or [name for room in ROOMS.values() for name in room]:
        sys.stderr.write(f"\n{name}:\n")
        if subprocess.run([sys.executable, __file__, seconds, name], check=False).returncode:
            broken.append(name)
    sys.stderr.write(f"\nbroken: {', '.join(broken) or 'none'}\n")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
