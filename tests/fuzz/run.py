# SPDX-License-Identifier: GPL-3.0-or-later
"""Fuzzes one parser: `python tests/fuzz/run.py NAME SECONDS`; `nox -s fuzz` fuzzes all.

With atheris, which follows the paths that bytes take through the code; without it hypothesis makes them.
"""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module

FOLLOWED = ["btmon_ascii", "btmon_http", "btcore.decode"]
"""The modules whose paths are followed."""

Target = Callable[[bytes], None]


def fuzz_by_coverage(name: str, seconds: int) -> None:
    """Fuzz for so many seconds with atheris, which ends this process."""
    atheris = import_module("atheris")  # it is not there on every system
    with atheris.instrument_imports(include=FOLLOWED):
        parsers = import_module("fuzz.parsers")  # what is imported here is followed
    target = parsers.TARGETS[name]
    found = tempfile.mkdtemp(prefix="fuzz-")  # where the bytes are kept that break something
    bounds = [
        f"-artifact_prefix={found}/",
        f"-max_total_time={seconds}",
        "-max_len=2048",
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *bounds], lambda data: target(parsers.seeded(data)))
    atheris.Fuzz()


def fuzz_by_chance(name: str, seconds: int) -> None:
    """Fuzz for so many seconds with hypothesis."""
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415 - the other way needs none of it
    from hypothesis import strategies as st  # noqa: PLC0415

    parsers = import_module("fuzz.parsers")
    target: Target = parsers.TARGETS[name]
    count = 0

    @settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=600))
    def once(data: bytes) -> None:
        nonlocal count
        count += 1
        target(parsers.seeded(data))

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        once()
    sys.stderr.write(f"{name}: {count} inputs, by chance\n")


def main(name: str, seconds: str) -> None:
    """Fuzz one parser."""
    is_there = importlib.util.find_spec("atheris") is not None
    (fuzz_by_coverage if is_there else fuzz_by_chance)(name, int(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
