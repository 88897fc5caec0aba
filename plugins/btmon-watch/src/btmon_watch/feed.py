# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the running program, again and again, in a thread of its own: one that does not answer holds up no key."""

from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import Any

import attrs

from btcore import BtcoreError
from btmon_watch.site import Site, site_of

INTERVAL = 2.0
"""Seconds between two questions."""

COUNTING_INTERVAL = 0.5
"""The same while today's energy is being counted, which goes on when it is asked for."""

Ask = Callable[[str], Mapping[str, Any]]


def look(ask: Ask) -> Site:
    """Ask once. Raises BtcoreError."""
    try:
        return site_of(ask("now"), ask("status"))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise BtcoreError(f"the running btcore answered something else than this version expects ({error})") from error


@attrs.define(eq=False)
class Feed:
    """What is known last of a site: any thread may read it. `wake` is called when there is news."""

    ask: Ask
    wake: Callable[[], None]
    site: Site = attrs.field(factory=Site)
    failure: str = "asking"
    _stop: Event = attrs.field(factory=Event)
    _lock: Lock = attrs.field(factory=Lock)

    def start(self) -> None:
        """Begin to ask."""
        Thread(target=self._run, name="feed", daemon=True).start()

    def stop(self) -> None:
        """Ask no more. What is being asked is not waited for."""
        self._stop.set()

    def last(self) -> tuple[Site, str]:
        """Return what is known last, and why nothing newer is, if so."""
        with self._lock:
            return self.site, self.failure

    def _run(self) -> None:
        while not self._stop.is_set():
            site, failure = self.site, ""
            try:
                site = look(self.ask)
            except BtcoreError as error:
                failure = str(error)
            with self._lock:
                self.site, self.failure = site, failure
            self.wake()
            self._stop.wait(INTERVAL if site.is_complete or failure else COUNTING_INTERVAL)
