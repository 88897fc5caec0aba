# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the configuration again while the site runs, when a signal or a command asks for it.

A configuration with a mistake changes nothing. What is restarted is decided in `workers/changes.py`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from btcore.classes import frozen
from btcore.config.site import Site
from btcore.control.requests import Request, RequestQueue
from btcore.errors import UPGRADED, BtcoreError, ConfigurationError, Unavailable, is_upgraded
from btcore.runtime.running_site import RunningSite
from btcore.runtime.service_manager import ServiceManager
from btcore.text import describe_error

if TYPE_CHECKING:
    from btcore.workers.changes import SiteChanges

log = logging.getLogger("btcore")

KEPT = "the configuration that runs stays in use"


LOAD_TIMEOUT = 10.0
"""Seconds that reading the configuration may take."""

MAX_HANGING = 8
"""Readings of the configuration that may hang, such as one of a pipe that is gone; with more, none is begun."""


class Loading:
    """One reading of the configuration, in a thread of its own: a pipe or a disk that hangs holds nothing up."""

    def __init__(self, load: Callable[[], Site]) -> None:
        """Begin it."""
        from concurrent.futures import Future  # noqa: PLC0415 - nothing else needs it

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


@frozen
class _Reload:
    """A reload under way: who asked, what is answered, and until when its workers are waited for."""

    request: Request
    answer: Mapping[str, Any]
    deadline: float


class Reloader:
    """Handles the requests to read the configuration again, one after the other, in the thread of the supervisor."""

    def __init__(
        self,
        load: Callable[[], Site],
        requests: RequestQueue,
        manager: ServiceManager,
        changed: Callable[[Site], Iterable[str]],
        patience: float,
    ) -> None:
        """Prepare. `load` reads the configuration.

        `changed` is called with one that is in use from now on, and returns what has to be said of it; where it raises
        Unavailable, the one that runs stays in use. `patience`: seconds for which workers that end are waited for.
        """
        self._load = load
        self._requests = requests
        self._manager = manager
        self._changed = changed
        self._patience = patience
        self._asked: Request | None = None
        self._loading: Loading | None = None
        self._hanging: list[Loading] = []  # and the last one
        self._current: _Reload | None = None
        self.notice = ""
        """What a line about the run has to say of the last reload: that it failed; else ""."""

    @property
    def is_busy(self) -> bool:
        """Whether a reload is under way."""
        return self._current is not None or self._asked is not None

    def turn(self, running: RunningSite) -> None:
        """Begin what is asked for, or end what is done; called again and again, and it returns soon."""
        if self._current is not None:
            if running.is_settled or monotonic() >= self._current.deadline:
                self._finish(running, self._current)
        elif self._asked is not None and self._loading is not None:
            if self._loading.is_over:
                self._take(running, self._asked, self._loading)
        elif (request := self._requests.take()) is not None:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        self._manager.reloading()
        log.info("reading the configuration again")
        self._asked = request
        self._hanging = [one for one in self._hanging if one.is_going_on]
        if len(self._hanging) < MAX_HANGING:
            self._hanging.append(Loading(self._load))
        self._loading = self._hanging[-1]

    def _take(self, running: RunningSite, request: Request, loading: Loading) -> None:
        """Use what was read."""
        self._asked = None
        answer = self._reload(running, loading)
        self.notice = "" if answer["reloaded"] else "; the last reload has failed"
        self._current = _Reload(request, answer, monotonic() + self._patience)

    def _reload(self, running: RunningSite, loading: Loading) -> dict[str, Any]:
        """Return the answer."""
        notices: list[str] = []
        try:
            changes = running.change(loading.site(), lambda site: notices.extend(self._changed(site)))
        except ConfigurationError as error:
            return self._refuse([str(problem) for problem in error.problems])
        except BtcoreError as error:
            return self._refuse([describe_error(error)])
        except Exception as error:
            if is_upgraded(error):
                return self._refuse([UPGRADED])
            log.exception("the configuration cannot be read: a fault of btcore; the one that runs stays in use")
            return {"reloaded": False, "problems": [describe_error(error)]}
        warnings = [*map(str, running.site.warnings), *_notices(changes), *notices]
        lines = list(changes.lines()) or ["nothing has changed"]
        for line in lines:
            log.info("%s", line)
        for warning in warnings:
            log.warning("%s", warning)
        return {"reloaded": True, "changes": lines, "warnings": warnings}

    def _refuse(self, problems: list[str]) -> dict[str, Any]:
        for problem in problems:
            log.error("%s", problem)
        log.error("%s", KEPT)
        return {"reloaded": False, "problems": problems}

    def _finish(self, running: RunningSite, reload: _Reload) -> None:
        self._current = None
        pending = [*running.sources.pending, *running.sinks.pending]
        late = [f"{table}: its call under way has not ended; it changes when it has" for table in pending]
        for line in late:
            log.warning("%s", line)
        self._manager.ready()
        reload.request.answer({**reload.answer, **({"pending": late} if late else {})})


def _notices(changes: "SiteChanges") -> Iterator[str]:
    yield from (f"{name}: the new value is used after a restart" for name in changes.on_restart)
