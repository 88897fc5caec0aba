# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures an import: a history of one GEM, in a table or a capture, is brought into databases by `run --once`.

Readings a second, the seconds of processor that the program takes for a thousand of them, and its memory at the middle
and at most: it must not grow with the number of readings. What the program takes to start is left out. The databases
are real ones on the same computer. The argument is the number of readings (20,000); a year at ten seconds has 3.1
million.
"""

import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import attrs
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
        raw = pack("gem48ptbin", GEM, {"volts": 121.5, "secs": 10 * n % (1 << 24), **values})
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


@attrs.define
class Import:
    """What one run of btcore took: seconds, seconds of processor, and its memory in MB, second by second."""

    seconds: float = 0.0
    processor: float = 0.0
    memory: list[int] = attrs.field(factory=list)


def import_into(folder: Path, source: str, sink: str) -> Import:
    """Run an import."""
    (folder / "site.toml").write_text(f'state = "{folder / "state"}"\n[source.old]\n{source}[sink.new]\n{sink}')
    command = [sys.executable, "-m", "btcore", "run", "--once", "--quiet", "--config", str(folder / "site.toml")]
    done, before, started = Import(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with subprocess.Popen(command) as process:
        watching = Thread(target=watch, args=(process, done.memory))
        watching.start()
        assert process.wait() == 0
        done.seconds = time.monotonic() - started
        watching.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    done.processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done


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


def report(name: str, rows: int, done: Import, start: Import) -> None:
    """Print what an import took, without what a start takes."""
    rate = rows / max(done.seconds - start.seconds, 0.1)
    processor = 1_000_000 * (done.processor - start.processor) / rows
    middle = done.memory[len(done.memory) // 2] if done.memory else 0
    memory = f"{middle} MB at the middle, {max(done.memory, default=0)} at most"
    print(f"{f'import: {name}':<36} {rate:10,.0f} readings/s {processor:6.0f} µs each; {memory}")


def main() -> None:
    """Print the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 20_000
    with ExitStack() as stack:
        mariadb, postgresql = stack.enter_context(MariaDB()), stack.enter_context(PostgreSQL())
        mariadb.sql(f"CREATE USER btcore IDENTIFIED BY '{PASSWORD}'")
        mariadb.sql("GRANT ALL ON *.* TO btcore")
        postgresql.sql(f"CREATE USER btcore PASSWORD '{PASSWORD}' CREATEDB")
        old = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fill(old / "old.db", rows)
        fill(old / "one.db", 1)
        (old / "capture.bin").write_bytes(b"".join(one.raw for one in readings(rows)))
        (old / "one.bin").write_bytes(next(readings(1)).raw)
        login = f'host = "127.0.0.1"\nport = {mariadb.port}\nuser = "btcore"\npassword = "{PASSWORD}"\n'
        mysql = f'use = "mysql"\n{login}'
        sql = f'use = "sql"\nurl = "postgresql+psycopg://btcore:{PASSWORD}@127.0.0.1:{postgresql.port}'
        samples = 'schema = "samples"\n'
        sqlite = 'use = "sqlite"\nfile = "new.db"\n'
        table, capture = 'use = "sqlite"\nfile = "{}.db"\n', 'use = "file"\npath = "{}.bin"\n'
        works = {
            "table into SQLite": (table, "old", sqlite),
            "capture into SQLite": (capture, "capture", sqlite),
            "table into MariaDB": (table, "old", f'{mysql}database = "{{}}"\n'),
            "table into PostgreSQL": (table, "old", f'{sql}/{{}}"\n'),
            "table into MariaDB, samples": (table, "old", f'{mysql}database = "{{}}"\n{samples}'),
            "table into PostgreSQL, samples": (table, "old", f'{sql}/{{}}"\n{samples}'),
        }
        for number, (name, (source, file, sink)) in enumerate(works.items()):
            done = []
            for which in ("one", file):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                done.append(import_into(folder, source.format(old / which), sink.format(f"energy{number}{which}")))
            report(name, rows, done[1], done[0])


if __name__ == "__main__":
    main()
