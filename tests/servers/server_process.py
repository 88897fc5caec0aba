# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is one process: how it is ended. How it is started, and when it is up, its own module knows."""

import subprocess

from btcore.testing.kit.waiting import PATIENCE


class ServerProcess:
    """A server; what starts it sets `_process`."""

    patience = PATIENCE
    """Seconds that it may take to end as it is asked to."""

    _process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End it as a service manager does: it keeps what it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(self.patience)
        self._process = None

    def kill(self) -> None:
        """Kill it: it keeps what it had written by then."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None
