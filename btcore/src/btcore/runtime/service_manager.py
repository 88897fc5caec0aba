# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the service manager (systemd) how the program is: started, reloading, stopping, and that its workers move.

The protocol is that of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Without one, nothing is sent.
Whether the workers move is decided by the caller.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

from btcore.text import plain, shortened

log = logging.getLogger("btcore")

MAX_STATUS = 200
"""Characters of a status line."""

STATUS_INTERVAL = 5.0
"""Seconds between two status lines."""


class ServiceManager:
    """Sends notifications. `clock` counts seconds and is monotonic."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read from the environment where notifications go, and how often the watchdog wants one."""
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._interval = _watchdog_interval(environment)
        self._clock = clock
        self._fed_at = self._status_at = clock() - STATUS_INTERVAL
        self._status = ""
        self._hang = ""
        self.is_ready = False

    @property
    def is_listening(self) -> bool:
        """Whether there is a service manager that is told anything."""
        return bool(self._address)

    @property
    def has_watchdog(self) -> bool:
        """Whether the service manager restarts a program that gives no sign of life."""
        return self._interval > 0

    def ready(self) -> None:
        """Tell that the program has started, or has read its configuration again."""
        self.is_ready = True
        self._send("READY=1")

    def reloading(self) -> None:
        """Tell that the configuration is read again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that the program stops."""
        self._send("STOPPING=1", "STATUS=stopping: the work in progress is finished")

    def status(self, text: str) -> None:
        """Show a line in `systemctl status`, when it has changed."""
        if text != self._status and self._clock() - self._status_at >= STATUS_INTERVAL:
            self._status, self._status_at = text, self._clock()
            self._send(f"STATUS={shortened(plain(text), MAX_STATUS)}")

    def feed(self, hang: str) -> None:
        """Give the watchdog a sign of life, if it is time; none while something hangs, which is logged."""
        if hang and hang != self._hang:
            log.critical("%s: only a restart can cure that, so the watchdog of the service manager is not fed", hang)
        self._hang = hang
        if self.has_watchdog and not hang and self._clock() - self._fed_at >= self._interval:
            self._fed_at = self._clock()
            self._send("WATCHDOG=1")

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        # an abstract socket is written with @ for the byte 0 that its name begins with
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(1)
                connection.sendto("\n".join(fields).encode("utf-8", "replace"), address)
        except OSError as error:
            log.debug("cannot notify the service manager: %s", error)


def _watchdog_interval(environment: Mapping[str, str]) -> float:
    """Return the seconds between two signs of life: a third of what the watchdog waits; 0 without a watchdog."""
    wanted, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    is_ours = not process or process == str(os.getpid())
    return int(wanted) / 3e6 if is_ours and wanted.isdecimal() else 0.0
