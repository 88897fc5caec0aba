# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for an event, and work in the background meanwhile."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

PATIENCE = 60.0
"""Seconds that a test waits for an event before it fails."""


def wait_for(condition: Callable[[], object], what: str = "what was to happen", patience: float = PATIENCE) -> None:
    """Wait until a condition holds; fail the test, saying what was waited for, when it does not."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.02)


@contextmanager
def in_background(over: Event, *works: Callable[[], object]) -> Iterator[None]:
    """Do things in threads of their own while the block runs; `over` is set when they are to end."""
    threads = [Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
