# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore as a user runs it: a process with a site.toml, which is stopped by a signal, or killed in the middle."""

import random
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from btcore.testing.kit.waiting import PATIENCE, wait_for


def free_port() -> int:
    """Return a TCP port that nobody uses, and that the system gives to no client's end of a connection.

    From what a system gives, a client that tries to reach it before it is listened on may get that very port itself.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("100 ports were tried, and all are in use")


class BtcoreProcess:
    """A `btcore` process; its log is kept in a file beside its configuration."""

    def __init__(self, folder: Path, site: str, *options: str, descriptors: int = 0) -> None:
        """Write the configuration and start `btcore run`, with so many file descriptors, if that is to be bounded."""
        config = folder / "site.toml"
        config.write_text(site)
        self._log = folder / "log.txt"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - this program itself
                [*_bounded(descriptors), sys.executable, "-m", "btcore", "run", "--config", str(config), *options],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                start_new_session=True,  # without a terminal, as a service
            )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave no process behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        """The log so far, of all runs in this folder."""
        return self._log.read_text()

    def port(self) -> int:
        """Return the TCP port that it listens on, once it does."""
        found: list[str] = []

        def listening() -> bool:
            found[:] = re.findall(r"listening on \S*:(\d+)", self.log)
            return bool(found) or self.process.poll() is not None

        wait_for(listening, "btcore to listen")
        assert found, self.log
        return int(found[-1])

    def stop(self) -> int:
        """Ask it to stop, as a service manager does; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def kill(self) -> None:
        """Kill it, as a power cut does: it finishes nothing. Another run in the same folder goes on from there."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        return self.process.wait(PATIENCE)


def _bounded(descriptors: int) -> list[str]:
    """Return what goes before a command that may have so many file descriptors."""
    return ["prlimit", f"--nofile={descriptors}"] if descriptors else []
