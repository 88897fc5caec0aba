# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock of the computer that can be set for a program while it runs: Debian's libfaketime reads it from a file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""Debian's libfaketime: it gives a program the time that a file says."""


MENDING = Path(__file__).with_name("faked_clock")
"""What a program of Python imports first: without it, it could not sleep under a clock that is ahead."""


@attrs.frozen
class ClockFile:
    """The file that says what time it is for every program that is started with it."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of such a program. The clock that nobody sets is left alone."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(MENDING)])),
        }

    def set(self, seconds: int) -> None:
        """Set it so many seconds before or after the right time."""
        new = self.file.with_name("new-clock")
        new.write_text(f"{seconds:+}")
        new.replace(self.file)  # never read half-written

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let what is started in the block have this clock."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def remove_leftovers() -> None:
    """Remove what libfaketime left of programs that are gone."""
    for left in Path("/dev/shm").glob("*faketime_s*_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            left.unlink(missing_ok=True)
