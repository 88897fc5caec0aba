# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program delivers to: real databases and played services, their troubles, and what they have in the end."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import attrs
from helpers.btcore_process import table_rows
from servers.database_servers import MariaDB
from servers.influxdb_api import TOKEN, InfluxDB2
from servers.pvoutput import ERROR, HANG, LOST, RESET, PVOutputServer
from servers.recorder import Recorder, Reply, Request

SITE_OF_EACH = """
min_backoff = "100ms"
max_backoff = "1s"
"""
WH = 3600
Identity = tuple[str, int]
"""A serial number and a key, which identify a reading."""


@attrs.frozen
class Stored:
    """What a sink has: each reading as often as it is there, and the net Ws of each meter's channels.

    `rounding` is by how many Ws a sum of energies may be off, because of what the sink's columns can hold. A sink with
    counters does not have their value before the first sample: `is_from_first_sample`.
    """

    readings: Counter[Identity] = attrs.field(factory=Counter)
    energy: Mapping[tuple[str, str], float] = attrs.field(factory=dict)
    rounding: float = 0.01
    is_from_first_sample: bool = False


class Store(Protocol):
    """One that is delivered to."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def table(self) -> str:
        """Its table in the configuration."""

    def trouble(self, what: str, /) -> AbstractContextManager[None]:
        """Make trouble while the block runs."""

    def stored(self) -> Stored:
        """Return what it has."""


@attrs.frozen
class SqliteFile:
    """A file of SQLite, with one of the schemas `counters` and `samples`."""

    name: str
    folder: Path

    @property
    def file(self) -> Path:
        """The database."""
        return self.folder / f"{self.name}.db"

    @property
    def table(self) -> str:
        """Its table."""
        return f'[sink.{self.name}]\nuse = "sqlite"\nfile = "{self.file}"\nschema = "{self.name}"\nflush_interval = 0\n'

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Lock the file, as a database browser does with changes that are not saved."""
        assert what == "locked"
        with closing(sqlite3.connect(self.file, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def stored(self) -> Stored:
        """Return what is in it."""
        if self.name == "samples":
            rows = table_rows(self.file, "samples", "serial, time, channel, wh_delta")
            once = Counter((serial, _key(time)) for serial, time in {row[:2] for row in rows})
            return Stored(once, _sums((serial, channel, delta) for serial, _, channel, delta in rows))
        tables = [name for (name,) in table_rows(self.file, "sqlite_master WHERE type = 'table'", "name")]
        own = [name for name in tables if name.endswith("_counters")]
        return Stored(Counter(tuple(row) for name in own for row in table_rows(self.file, name, "serial, id")))


@attrs.define
class MariaDBStore:
    """A MariaDB, with the schema `ecmreadext`."""

    server: MariaDB
    name: str = "mariadb"

    def __attrs_post_init__(self) -> None:
        """Make the user."""
        self.server.sql("CREATE USER 'btcore'@'%' IDENTIFIED BY 'secret'")
        self.server.sql("GRANT ALL ON *.* TO 'btcore'@'%'")

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.mariadb]\nuse = "mysql"\nhost = "127.0.0.1"\nport = {self.server.port}\nuser = "btcore"\n'
            'password = "secret"\ndatabase = "energy"\nschema = "ecmreadext"\nflush_interval = "300ms"\n'
        )

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """End as when the power fails, stand still, cut all connections, or let nobody write."""
        if what == "killed":
            self.server.kill()
            yield
            self.server.start()
        elif what == "stopped":
            assert self.server.process is not None
            self.server.process.send_signal(19)
            yield
            self.server.process.send_signal(18)
        elif what == "cut":
            for (number,) in self.server.sql("SELECT id FROM information_schema.processlist WHERE user = 'btcore'"):
                self.server.sql(f"KILL {number}")
            yield
        else:
            with self.server.connect() as connection, connection.cursor() as statement:
                statement.execute("FLUSH TABLES WITH READ LOCK")
                yield

    def stored(self) -> Stored:
        """Return what is in its tables."""
        readings: Counter[Identity] = Counter()
        energy: dict[tuple[str, str], float] = {}
        for (table,) in self.server.sql("SHOW TABLES FROM energy LIKE '%ecmreadext'"):
            names = [name for name, *_ in self.server.sql(f"SHOW COLUMNS FROM energy.{table}")]
            deltas = [name for name in names if name.endswith("_dwh")]
            rows = self.server.sql(f"SELECT ecm_serial, id, {', '.join(deltas)} FROM energy.{table}")
            readings.update((str(serial), int(key)) for serial, key, *_ in rows)
            energy |= _sums(
                (str(row[0]), delta.removesuffix("_dwh"), value)
                for row in rows
                for delta, value in zip(deltas, row[2:], strict=True)
            )
        return Stored(readings, energy)


class Moods:
    """How a service answers at the moment: as it should, or with a trouble."""

    def __init__(self, recorder: Recorder, take: Callable[[Request], Reply]) -> None:
        """Answer for a service, which takes requests so."""
        self._recorder, self._take, self._mood = recorder, take, ""
        recorder.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if self._mood == "errors":
            return Reply(503, "try again later")
        if self._mood == "hangs":
            return Reply(wire="hang")
        if self._mood == "slow":
            time.sleep(0.5)
        reply = self._take(request)
        return Reply(wire="lost") if self._mood == "lost-answers" else reply

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Make trouble while the block runs."""
        self._mood = what
        if what == "down":
            self._recorder.down()
        yield
        self._mood = ""
        if what in ("down", "hangs"):
            self._recorder.down()
            self._recorder.up()


class InfluxStore:
    """InfluxDB 2, played."""

    name = "influxdb"

    def __init__(self, server: InfluxDB2) -> None:
        """Play it."""
        self._server = server
        self.trouble = Moods(server, server.respond).trouble

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.influxdb]\nserver = "influxdb-2"\nurl = "{self._server.url}"\norg = "{self._server.org}"\n'
            f'bucket = "{self._server.bucket}"\ntoken = "{TOKEN}"\ntimeout = "3s"\n'
        )

    def stored(self) -> Stored:
        """Return its points; the energy is by how much the counters rose, of which the first is before any sample."""
        counters: dict[tuple[str, str, str], list[float]] = {}
        readings: Counter[Identity] = Counter()
        for (_, tags, at), fields in self._server.points.items():
            of = dict(tags)
            readings[of["serial"], at] = 1
            for label in ("wh_import", "wh_export"):
                if label in fields:
                    counters.setdefault((of["serial"], of["channel"], label), []).append(fields[label])
        return Stored(readings, _rises(counters, "wh_export"), is_from_first_sample=True)


class EmoncmsStore:
    """emoncms, played: of each input the smallest and the largest value."""

    name = "emoncms"

    def __init__(self, server: Recorder) -> None:
        """Play it."""
        self._server = server
        self._inputs: dict[str, list[float]] = {}
        self.trouble = Moods(server, self._take).trouble

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.emoncms]\nurl = "{self._server.url}"\ntoken = "abcdef0123456789"\ninclude_directions = true\n'
            'serials = "full"\nflush_interval = "500ms"\ntimeout = "3s"\n'
        )

    def _take(self, request: Request) -> Reply:
        for _, _, *inputs in json.loads(request.form["data"]):
            for one in inputs:
                for name, value in one.items():
                    self._inputs.setdefault(name, []).append(value)
        return Reply(200, "ok")

    def stored(self) -> Stored:
        """Return its inputs; they have 0.01 Wh."""
        counters: dict[tuple[str, str, str], list[float]] = {}
        for name, values in self._inputs.items():
            serial, channel, kind = [*name.split("_"), ""][:3]
            if kind in ("pwh", "nwh") or (kind == "wh" and channel.startswith("aux")):
                counters[serial, channel, kind] = values
        return Stored(Counter(), _rises(counters, "nwh"), rounding=0.04 * WH, is_from_first_sample=True)


class PVOutputStore:
    """PVOutput, played: it has what one meter with a clock of its own generates, in slots of five minutes."""

    name = "pvoutput"

    def __init__(self, server: PVOutputServer, meter: str) -> None:
        """Play it."""
        self._server, self._meter = server, meter

    @property
    def table(self) -> str:
        """Its table."""
        return (
            f'[sink.pvoutput]\nurl = "{self._server.url}"\nsystem_id = "{self._server.system}"\n'
            f'api_key = "{self._server.key}"\ngeneration = "{self._meter}_ch1"\ngeneration_direction = "both"\n'
            f'meters = ["{self._meter}"]\nzone = "UTC"\n'
            'max_calls_per_hour = 0\nflush_interval = 0\ntimeout = "3s"\n'
        )

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Make trouble while the block runs."""
        if what == "lost-answers":
            self._server.fail(LOST, LOST)
        self._server.outage = {"down": RESET, "errors": ERROR, "hangs": HANG}.get(what)
        yield
        self._server.outage = None

    def stored(self) -> Stored:
        """Return nothing: `slots` has what there is."""
        return Stored()

    def slots(self) -> dict[int, int]:
        """Return the Wh of each slot, by its end in seconds since 1970: a counter of the meter's life."""
        return {
            int(datetime.strptime("".join(slot), "%Y%m%d%H:%M").replace(tzinfo=UTC).timestamp()): int(kept["v1"])
            for slot, kept in self._server.slots.items()
        }


def _key(time: str) -> int:
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def _sums(rows: Iterator[tuple[str, str, float | None]]) -> dict[tuple[str, str], float]:
    sums: dict[tuple[str, str], float] = {}
    for serial, channel, value in rows:
        if value is not None:
            sums[serial, channel] = sums.get((serial, channel), 0.0) + value * WH
    return sums


def _rises(counters: Mapping[tuple[str, str, str], list[float]], negative: str) -> dict[tuple[str, str], float]:
    """Return by how many Ws counters that never fall rose; those of one direction count against the other."""
    return _sums(
        (serial, channel, (max(values) - min(values)) * (-1 if label == negative else 1))
        for (serial, channel, label), values in counters.items()
    )
