# SPDX-License-Identifier: GPL-3.0-or-later
"""What is open in this process, to compare before and after: threads, descriptors, and processes that it started.

The last two are seen where the system lists them, as Linux does.
"""

import gc
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import attrs

DESCRIPTORS = Path("/proc/self/fd")
PATIENCE = 5.0
"""Seconds in which a thread that was asked to end has to end."""


@attrs.frozen
class Open:
    """The threads, the descriptors and the child processes that are there at one moment."""

    threads: frozenset[int]
    descriptors: frozenset[tuple[str, str]]
    children: frozenset[str]

    @classmethod
    def now(cls) -> "Open":
        """Look."""
        return cls(frozenset(thread.ident or 0 for thread in threading.enumerate()), _descriptors(), _children())

    def left_since(self) -> list[str]:
        """Return what there is now and was not then; what is about to end is waited for."""
        deadline = time.monotonic() + PATIENCE
        while (left := self._left()) and time.monotonic() < deadline:
            gc.collect()  # what nothing refers to any more but a circle of its own is given back
            time.sleep(0.02)
        return left

    def _left(self) -> list[str]:
        now = Open.now()
        threads = [f'the thread "{one.name}"' for one in threading.enumerate() if one.ident not in self.threads]
        processes = [f"the process {number}" for number in sorted(now.children - self.children)]
        return threads + processes + [_describe(target) for _, target in sorted(now.descriptors - self.descriptors)]


def _descriptors() -> frozenset[tuple[str, str]]:
    found = set()
    with suppress(OSError):
        for name in os.listdir(DESCRIPTORS):  # noqa: PTH208 - names are what is compared
            with suppress(OSError):  # that of the listing itself
                found.add((name, os.readlink(DESCRIPTORS / name)))  # noqa: PTH115 - no path: socket:[1234]
    return frozenset(found)


def _children() -> frozenset[str]:
    found: set[str] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found.update(file.read_text().split())
    return frozenset(found)


def _describe(target: str) -> str:
    kind = target.partition(":")[0]
    return {"socket": "a socket", "pipe": "a pipe", "anon_inode": "an event descriptor"}.get(kind, f"the file {target}")
