# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers that wait for a meter to connect (a DashBox, Home Assistant): each is connected to, again and again."""

import logging
import time
from collections.abc import Sequence
from threading import Event, Thread

from btcore.serve import parse_listen_address
from btmon_ip.client_connection import connect
from btmon_tee.readers import Readers

TIMEOUT = 10.0
"""Seconds until a connection that is not made is given up."""

MIN_WAIT, MAX_WAIT = 1.0, 60.0
"""Seconds between two attempts: the first, doubled up to the last."""

LASTING = 10.0
"""Seconds after which a connection counts as one that works."""


class Callers:
    """A thread for each address."""

    def __init__(self, addresses: Sequence[str], readers: Readers, log: logging.Logger) -> None:
        """Begin to connect."""
        self._readers, self._log, self._stop = readers, log, Event()
        self._threads = [
            Thread(target=self._run, args=(one,), name=f"caller of {one}", daemon=True) for one in addresses
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Connect no more. Close the readers then: that ends the connections."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the end of the threads, which must have been stopped."""
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _run(self, address: str) -> None:
        wait, is_reported = MIN_WAIT, False
        while not self._stop.is_set():
            began = time.monotonic()
            failure = self._call(address)
            if failure and not is_reported:
                self._log.warning("cannot connect to %s, which is to read: %s. It is tried again", address, failure)
            is_reported = bool(failure)
            wait = MIN_WAIT if time.monotonic() - began >= LASTING and not failure else min(2 * wait, MAX_WAIT)
            self._stop.wait(wait)

    def _call(self, address: str) -> str:
        """Connect, and wait for the end of the connection; return why it could not be made."""
        host, port = parse_listen_address(address)
        try:
            connection = connect(host, port, TIMEOUT, self._stop)
        except OSError as error:
            return error.strerror or str(error)
        if connection is not None:
            self._readers.add(connection.socket, f"reader {address}").gone.wait()
        return ""
