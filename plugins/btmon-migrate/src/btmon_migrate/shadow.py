# SPDX-License-Identifier: GPL-3.0-or-later
"""What btcore prints of a capture, and the power in both directions. btcore itself is run on it, as a process."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from btcore import BtcoreError
from btmon_migrate.printed import Log, read_log

SECONDS = 1 << 24
"""Where a meter's seconds counter begins again."""

MAX_SECONDS = 600
"""The longest that btcore is waited for."""

SITE = """\
state = "state"
polarity = "{polarity}"

[source.file]
path = "capture.json"
max_new_meters_per_day = 0

[sink.print]
current = true

[sink.sqlite]
file = "counters.db"
schema = "counters"
"""


class ShadowError(BtcoreError):
    """btcore could not be run, or has no readings."""


def run_btcore(*words: str, directory: Path) -> str:
    """Run a command of btcore; return what it writes to standard output. Raises ShadowError."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    try:
        done = subprocess.run(  # noqa: S603 - it is btcore
            [sys.executable, "-m", "btcore", *words],
            cwd=directory,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ShadowError(f"btcore {words[0]} took longer than {MAX_SECONDS // 60} minutes") from None
    if done.returncode:
        why = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ShadowError(f"btcore {words[0]} failed: {why[-1].removeprefix('btcore: ')}")
    return done.stdout


def replay(directory: Path, polarity: str) -> Log:
    """Return what btcore prints of `capture.json` in a directory. Raises ShadowError."""
    (directory / "site.toml").write_text(SITE.format(polarity=polarity))
    return read_log(run_btcore("run", "--once", "--quiet", "site.toml", directory=directory).splitlines())


def both_ways(directory: Path) -> dict[tuple[str, datetime], list[dict[str, float]]]:
    """Return the power in both directions together, in watts, by channel; by serial number and time as it is printed.

    There are several where packets came in one second.
    """
    found: dict[tuple[str, datetime], list[dict[str, float]]] = {}
    before: dict[str, sqlite3.Row] = {}
    for row in _rows(directory / "counters.db"):
        serial = row["serial" if "serial" in row.keys() else "ecm_serial"]  # noqa: SIM118 - a row has values
        older = before.get(serial, row)
        at = datetime.fromtimestamp(row["time_created"])  # noqa: DTZ006 - as it is printed
        if seconds := (row["secs"] - older["secs"]) % SECONDS:
            found.setdefault((serial, at), []).append(_power(older, row, seconds))
        before[serial] = row
    return found


def _power(older: sqlite3.Row, newer: sqlite3.Row, seconds: int) -> dict[str, float]:
    labels = [label for label in newer.keys() if label.endswith("_aws")]  # noqa: SIM118 - as above
    return {label.removesuffix("_aws"): (newer[label] - older[label]) / seconds for label in labels}


def _rows(file: Path) -> Iterator[sqlite3.Row]:
    """Yield the counters of all readings, those of a packet format in the order in which they were stored."""
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%\\_counters' ESCAPE '\\'"):
            yield from connection.execute(f'SELECT * FROM "{table}" ORDER BY id')  # noqa: S608 - a name of ours
