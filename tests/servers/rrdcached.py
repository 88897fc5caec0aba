# SPDX-License-Identifier: GPL-3.0-or-later
"""A real rrdcached on a UNIX socket, which can be killed and started again; and whether there is one to start."""

import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from servers.server_process import ServerProcess

from btcore.testing import wait_for

MISSING = "" if all(map(shutil.which, ("rrdcached", "rrdtool"))) else "apt install rrdcached rrdtool: one is missing"
"""Why no rrdcached can be started, and its files looked at; "" if it can."""

BINDING_MISSING = (
    ""
    if shutil.which("rrdtool") and importlib.util.find_spec("rrdtool")
    else "RRDtool or its binding is missing: apt install rrdtool librrd-dev && pip install rrdtool"
)
"""Why no file can be written without rrdcached; "" if it can."""


class Rrdcached(ServerProcess):
    """rrdcached with a directory of files and, unless it is told otherwise, a journal; started by `with`."""

    def __init__(self, folder: Path, *, journal: bool = True) -> None:
        """Remember where: everything it has is below this folder."""
        self.files = folder / "rrd"
        self.socket = folder / "rrdcached.sock"
        self._folder = folder
        self._journal: Sequence[str] = ("-j", str(folder / "journal")) if journal else ()
        for directory in (self.files, folder / "journal"):
            directory.mkdir(exist_ok=True)

    @property
    def address(self) -> str:
        """Return its address, as a configuration has it."""
        return f"unix:{self.socket}"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, at once."""
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.socket.unlink(missing_ok=True)
        pid = self._folder / "rrdcached.pid"
        pid.unlink(missing_ok=True)
        with (self._folder / "rrdcached.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["rrdcached", "-g", "-l", self.address, "-b", self.files, "-B", "-R", "-p", pid, *self._journal],
                stdout=log,
                stderr=log,
                env={**os.environ, "TZ": "UTC"},
            )
        wait_for(self._listens, "rrdcached to listen")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(self.socket))
            return True
        return False
