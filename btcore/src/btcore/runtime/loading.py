# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the configuration of a site that runs, in a thread of its own, and for so long only.

A pipe that nobody writes into, or a file system that hangs, must not hold up who watches the workers.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from time import monotonic

from btcore.config.site import Site
from btcore.errors import Unavailable

LOAD_TIMEOUT = 10.0
"""Seconds that reading the configuration may take."""


class Loading:
    """One reading of the configuration."""

    def __init__(self, load: Callable[[], Site]) -> None:
        """Begin it."""
        self._found: Future[Site] = Future()
        self._deadline = monotonic() + LOAD_TIMEOUT
        Thread(target=self._work, args=(load,), name="configuration", daemon=True).start()

    def _work(self, load: Callable[[], Site]) -> None:
        try:
            site = load()
        except BaseException as error:  # noqa: BLE001 - `site` raises it where it is waited for
            self._found.set_exception(error)
            return
        if monotonic() >= self._deadline:
            self._found.set_exception(_too_late())
        else:
            self._found.set_result(site)

    @property
    def is_over(self) -> bool:
        """Whether it is read, or has taken too long."""
        return not self.is_going_on or monotonic() >= self._deadline

    @property
    def is_going_on(self) -> bool:
        """Whether it is still being read, however long that takes."""
        return not self._found.done()

    def site(self) -> Site:
        """Return the configuration. Raises what reading it has raised, and Unavailable where that took too long."""
        if self.is_going_on:
            raise _too_late()
        return self._found.result()


def _too_late() -> Unavailable:
    return Unavailable(
        f"the configuration, or a file that it names, was not read within {LOAD_TIMEOUT:.0f} s: is it a pipe that"
        " nobody writes into, or on a file system that hangs?"
    )
