# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore as a user runs it: a process, a site.toml, signals, and what is in its databases afterwards."""

import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from helpers.waiting import PATIENCE, wait_for

JOURNAL_FILE = Path("state", "journal.db")
"""Where the journal is, in the folder of a configuration that says `state = "state"`."""


def free_port() -> int:
    """Return a TCP port that nobody uses, and that the system gives to no client's end of a connection.

    From what a system gives, a client that tries to reach it before it is listened on may get that very port itself.
    """
    for port in random.sample(range(20_000, 32_000), 100):
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
            self.process = subprocess.Popen(
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

    def finish(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        return self.process.wait(PATIENCE)


def _bounded(descriptors: int) -> list[str]:
    """Return what goes before a command that may have so many file descriptors."""
    return ["prlimit", f"--nofile={descriptors}"] if descriptors else []


def table_rows(database: Path, table: str, columns: str = "serial, secs") -> list[tuple[Any, ...]]:
    """Return what is in a table; nothing while there is none."""
    if not database.exists():
        return []
    connection = sqlite3.connect(database, timeout=30)
    try:
        return connection.execute(f"SELECT {columns} FROM {table}").fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()
