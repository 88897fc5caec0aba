# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at strangers' plugins for a command that lists or checks them: each has some seconds, and prints nothing.

A plugin is imported in a thread of its own, which is left alone if it does not return: the others are listed all the
same. What it prints meanwhile is kept out of what the command writes.
"""

import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Generic, TypeVar

from btcore.classes import define, field
from btcore.text import plain, shortened

PATIENCE = 10.0
"""Seconds that it may take to import a plugin."""

Found = TypeVar("Found")


@define
class Look(Generic[Found]):
    """What came of it: `found` has one thing, or none if it does not return. `faults`: what else it did meanwhile."""

    found: list[Found] = field(factory=list)
    errors: list[BaseException] = field(factory=list)
    faults: list[str] = field(factory=list)


def look(at: Callable[[], Found]) -> Look[Found]:
    """Call what imports a plugin, and wait for it. Raises what it raises."""
    seen, printed, before = Look[Found](), StringIO(), set(threading.enumerate())

    def work() -> None:
        try:
            seen.found.append(at())
        except BaseException as error:  # noqa: BLE001 - raised again below
            seen.errors.append(error)

    thread = threading.Thread(target=work, name="look", daemon=True)
    with redirect_stdout(printed):
        thread.start()
        thread.join(PATIENCE)
    for error in seen.errors:
        raise error
    seen.faults += _faults(thread, printed.getvalue(), set(threading.enumerate()) - before - {thread})
    return seen


def _faults(thread: threading.Thread, printed: str, left: set[threading.Thread]) -> list[str]:
    found = []
    if thread.is_alive():
        found.append(
            f"it has not been imported within {PATIENCE:.0f} s: a module declares, and the hook `open` does the work"
        )
    if text := plain(printed).strip():
        found.append(f"it prints when it is imported ({shortened(text, 40)}): use `context.log`, or print nothing")
    names = ", ".join(sorted(plain(one.name) for one in left))
    if names:
        found.append(f"it starts threads when it is imported ({names}): start them in the hook `open`")
    return found
