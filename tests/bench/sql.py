# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures an import: a history of one GEM in an SQLite file is brought into MariaDB and PostgreSQL by `run --once`.

Rows a second, from the first one read until the last one is stored, and the memory of the process at the middle and at
the end: it must not grow with the number of rows. The databases are real ones on the same computer. The argument is the
number of rows (20,000); a year at ten seconds has 3.1 million.
"""

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

from servers.database_servers import MariaDB, PostgreSQL

from btcore import FORMATS, Batch, Context, Reading, pack
from btmon_sqlite.sink import Sqlite

START = datetime(2024, 3, 1, tzinfo=UTC)
GEM = "01021234"
PASSWORD = "secret"


def readings(rows: int) -> Iterator[Reading]:
    """Yield the readings of a GEM, one each ten seconds."""
    for n in range(rows):
        values = {f"ch{channel}_aws": 1000 * n * channel for channel in range(1, 33)}
        raw = pack("gem48ptbin", GEM, {"volts": 121.5, "secs": 10 * n, **values})
        yield Reading(START + timedelta(seconds=10 * n), FORMATS["gem48ptbin"], GEM, raw)


def fill(file: Path, rows: int) -> None:
    """Store a history as the sink does."""
    sink = Sqlite(file=file)
    sink.open(Context("sink.old", logging.getLogger("sink.old")))
    waiting: list[Reading] = []
    for reading in readings(rows):
        waiting.append(reading)
        if len(waiting) == 2000:
            sink.process_batch(Batch(tuple(waiting)))
            waiting.clear()
    sink.process_batch(Batch(tuple(waiting)))
    sink.close()


def import_into(folder: Path, sink: str, rows: int) -> tuple[float, list[int]]:
    """Import the file of the folder into a sink; return the rows a second, and the memory in MB, second by second."""
    old = f'[source.old]\nuse = "sqlite"\nfile = "{folder / "old.db"}"\n'
    (folder / "site.toml").write_text(f'state = "{folder / "state"}"\n{old}[sink.new]\n{sink}')
    command = [sys.executable, "-m", "btcore", "run", "--once", "--quiet", "--config", str(folder / "site.toml")]
    started, memory = time.monotonic(), list[int]()
    with subprocess.Popen(command) as process:
        Thread(target=watch, args=(process, memory)).start()
        assert process.wait() == 0
    return rows / (time.monotonic() - started), memory


def watch(process: subprocess.Popen[bytes], memory: list[int]) -> None:
    """Note once a second how much memory a process has."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            return
        memory += [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")]
        time.sleep(1)


def main() -> None:
    """Print the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with ExitStack() as stack:
        mariadb, postgresql = stack.enter_context(MariaDB()), stack.enter_context(PostgreSQL())
        mariadb.sql(f"CREATE USER btcore IDENTIFIED BY '{PASSWORD}'")
        mariadb.sql("GRANT ALL ON *.* TO btcore")
        postgresql.sql(f"CREATE USER btcore PASSWORD '{PASSWORD}' CREATEDB")
        login = f'host = "127.0.0.1"\nport = {mariadb.port}\nuser = "btcore"\npassword = "{PASSWORD}"\n'
        url = f"postgresql+psycopg://btcore:{PASSWORD}@127.0.0.1:{postgresql.port}/energy"
        sinks = {
            "MariaDB": f'use = "mysql"\ndatabase = "energy"\n{login}',
            "PostgreSQL": f'use = "sql"\nurl = "{url}"\n',
            "MariaDB, samples": f'use = "mysql"\ndatabase = "energy"\nschema = "samples"\n{login}',
        }
        for name, sink in sinks.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            fill(folder / "old.db", rows)
            rate, memory = import_into(folder, sink, rows)
            middle = memory[len(memory) // 2] if memory else 0
            print(
                f"SQLite into {name}: {rate:,.0f} rows/s; {middle} MB at the middle, {max(memory[-2:])} MB at the end"
            )


if __name__ == "__main__":
    main()
