# SPDX-License-Identifier: GPL-3.0-or-later
"""A supervisor that runs in a thread, and takes another configuration when a test says so."""

import threading
from pathlib import Path
from typing import Any, Self

from btcore.config.site import Site
from btcore.control.client import NotRunning, ask_once
from btcore.control.requests import RequestQueue
from btcore.runtime.supervisor import Supervisor


class Run:
    """A supervisor in a thread of its own, whose configuration a test changes."""

    def __init__(self, site: Site, **options: Any) -> None:  # noqa: ANN401 - of any kind
        """Take the first configuration."""
        self.site = site
        self.stop, self.reloads = threading.Event(), RequestQueue()
        self.error: Exception | None = None
        self.well: bool | None = None
        self.wait_before_loading: threading.Event | None = None
        self.loads = 0
        self._supervisor = Supervisor(site, self.stop, load=self._load, reloads=self.reloads, **options)
        self.thread = threading.Thread(target=self._work)

    def _load(self) -> Site:
        self.loads += 1
        if self.wait_before_loading is not None:
            self.wait_before_loading.wait(60)
        if self.error is not None:
            raise self.error
        return self.site

    def _work(self) -> None:
        self.well = self._supervisor.run()

    def __enter__(self) -> Self:
        """Start."""
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the end."""
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()

    def reload(self, site: Site | None = None) -> dict[str, Any]:
        """Take another configuration; return the answer."""
        self.site = site or self.site
        return dict(self.reloads.put().wait(60))


def is_listening(state: Path) -> bool:
    """Whether the program answers."""
    try:
        return bool(ask_once(state, "status"))
    except NotRunning:
        return False
