# SPDX-License-Identifier: GPL-3.0-or-later
"""With a real MariaDB: outages, rights, tables of all kinds, and each row there exactly once."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from helpers.samplers import samples_between
from servers.database_servers import MariaDB, free_port

from btcore import FORMATS, Batch, Context, Duration, Reading, Reject, Retry, Secret, Stop, pack
from btcore.cli import OK, UNAVAILABLE, main
from btcore.sql import preparation
from btcore.sql.preparation import Preparation
from btcore.testing import wait_for
from btmon_mysql.server import MysqlConnection
from btmon_mysql.sink import Mysql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
TABLE = "ecm1240bin_counters"

Opened = Callable[..., Mysql]


def reading(microseconds: int = 0, serial: str = "312345", name: str = "ecm1240bin", **values: float) -> Reading:
    """Make a reading, so many microseconds from the start."""
    raw = pack(name, serial, {"volts": 121.5, "secs": 5000 + microseconds // 1_000_000, **values})
    return Reading(START + timedelta(microseconds=microseconds), FORMATS[name], serial, raw)


def batch(first: int, last: int) -> Batch:
    """Make a batch of readings, ten seconds apart."""
    return Batch(tuple(reading(10_000_000 * n, ch1_aws=1000 * n) for n in range(first, last)))


@pytest.fixture(name="own")
def own_fixture() -> Iterator[MariaDB]:
    """Run a server for one test, which may stop and kill it."""
    with MariaDB() as server:
        server.sql("CREATE USER 'btcore'@'%' IDENTIFIED BY 'secret'")
        server.sql("GRANT ALL ON *.* TO 'btcore'@'%'")
        yield server


def at(server: MariaDB, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a table may hold
    """Return the settings of a sink for a server."""
    own = {"host": "127.0.0.1", "port": server.port, "user": "btcore", "password": Secret("secret")}
    return {**own, "database": "energy", **more}


def stored(server: MariaDB, table: str = TABLE) -> list[tuple[Any, ...]]:
    """Return the keys and counters that are stored."""
    return server.sql(f"SELECT id, ch1_aws FROM {table} ORDER BY id", "energy")


def expected(count: int) -> list[tuple[int, int]]:
    """Return what is stored when so many readings of `batch` are, each once."""
    return [(one.key, 1000 * n) for n, one in enumerate(batch(0, count).readings)]


def test_a_restart_of_the_server_is_not_noticed(own: MariaDB, opened: Opened) -> None:
    """A connection that was lost while nothing was to do is made again, and the batch is stored at once."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    own.stop()
    own.start()
    sink.process_batch(batch(3, 6))
    assert stored(own) == expected(6)


def test_an_outage_waits(own: MariaDB, opened: Opened) -> None:
    """While the server is down each try is a Retry that names the server; then the same sink goes on."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    own.stop()
    for _ in range(2):
        with pytest.raises(Retry, match=rf"energy at 127.0.0.1:{own.port}.*"):
            sink.process_batch(batch(3, 6))
    own.start()
    sink.process_batch(batch(3, 6))
    assert stored(own) == expected(6)


def test_a_server_that_is_down_at_the_start_waits(opened: Opened) -> None:
    """A sink that cannot connect at first waits as well."""
    with pytest.raises(Retry, match=r"database energy at 127.0.0.1:\d+ cannot be reached \(2003: .*tries again"):
        opened(host="127.0.0.1", port=free_port(), user="btcore", database="energy")


def test_a_server_killed_in_the_middle_of_a_batch_has_each_row_once(own: MariaDB, opened: Opened) -> None:
    """Whatever of a batch a server had taken when its power failed, all of it is there once in the end."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    holder = own.connect("energy")
    with ThreadPoolExecutor(1) as executor:
        holder.query(f"LOCK TABLES {TABLE} READ")
        work = executor.submit(sink.process_batch, batch(0, 400))
        waiting = "SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
        wait_for(lambda: own.sql(waiting), "the insert to wait")
        own.kill()
        with pytest.raises(Retry):
            work.result()
    holder.close()
    own.start()
    sink.process_batch(batch(0, 400))
    sink.process_batch(batch(390, 400))
    assert stored(own) == expected(400)


STORING = """
import logging, sys
from test_mysql_server import at, batch
from btcore import Context, Secret
from btmon_mysql.sink import Mysql

sink = Mysql(host="127.0.0.1", port=int(sys.argv[1]), user="btcore", password=Secret("secret"), database="energy")
sink.open(Context("sink.test", logging.getLogger("sink.test")))
for first in range(0, 100_000, 200):
    sink.process_batch(batch(first, first + 200))
    print(first, flush=True)
"""


def test_a_process_killed_in_the_middle_of_a_batch_has_each_row_once(energy: "Energy", opened: Opened) -> None:
    """What a process had stored when it was killed is there once after its successor has delivered the same again."""
    program = [sys.executable, "-c", STORING, str(energy.server.port)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(program, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 400:
            pass
        process.kill()
    before = energy.count()
    assert before % 200 == 0
    sink = opened(**energy.settings())
    for first in range(0, before + 400, 200):
        sink.process_batch(batch(first, first + 200))
    assert stored(energy.server) == expected(before + 400)


def test_a_connection_killed_before_the_end_of_a_transaction_leaves_nothing_twice(
    energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that was cut off is done again at once, on a new connection."""
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 3))
    database = sink._writer._database
    assert database is not None
    own = database.connection.query("SELECT CONNECTION_ID()")[0][0]
    insert = MysqlConnection.execute_many

    def insert_and_die(*args: Any) -> None:  # noqa: ANN401 - as they come
        insert(*args)
        with suppress(pymysql.Error):  # the second time it is gone
            energy.server.sql(f"KILL {own}")

    monkeypatch.setattr(MysqlConnection, "execute_many", insert_and_die)
    sink.process_batch(batch(0, 6))
    assert stored(energy.server) == expected(6)


def test_a_lock_that_is_held_too_long_waits(energy: "Energy", opened: Opened) -> None:
    """A row that another transaction holds is tried again later, and nothing of the batch is stored meanwhile."""
    energy.server.sql("SET GLOBAL innodb_lock_wait_timeout = 1")
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 3))
    holder = energy.server.connect("energy")
    holder.begin()
    with holder, holder.cursor() as results:
        results.execute(f"SELECT * FROM {TABLE} FOR UPDATE")
        with pytest.raises(Retry, match="another transaction was in the way"):
            sink.process_batch(batch(0, 6))
    assert stored(energy.server) == expected(3)
    sink.process_batch(batch(0, 6))
    assert stored(energy.server) == expected(6)


class SmallMariaDB(MariaDB):
    """A server whose tables have 4 MB in all, until `most` is raised and it is started anew."""

    most = 16

    def command(self) -> list[str]:
        """Keep all tables in one file that does not grow."""
        small = ["--innodb-file-per-table=0", f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{self.most}M"]
        return [*super().command(), *small]


def test_a_full_disk_waits(opened: Opened) -> None:
    """Without space the whole batch waits, and is stored once there is room."""
    with SmallMariaDB() as server:
        server.sql("CREATE USER 'btcore'@'%' IDENTIFIED BY 'secret'")
        server.sql("GRANT ALL ON *.* TO 'btcore'@'%'")
        sink = opened(**at(server))
        sink.process_batch(batch(0, 3))
        server.sql("CREATE TABLE large (content LONGBLOB)", "energy")
        with pytest.raises(Exception, match="is full"):  # noqa: PT012 - until it is
            for size in [1_000_000] * 9 + [100_000] * 90:
                server.sql(f"INSERT INTO large VALUES (REPEAT('x', {size}))", "energy")
        with pytest.raises(Retry, match=r"no space left at database energy .*free space on its disk"):
            sink.process_batch(batch(0, 20_000))
        server.stop()
        server.most = 64
        server.start()
        sink.process_batch(batch(0, 1000))
        assert stored(server) == expected(1000)


def test_a_wrong_password_stops(energy: "Energy", opened: Opened) -> None:
    """It is one line that names the settings, without the password."""
    with pytest.raises(Stop, match=r"refuses the user \(1045: .*correct `user` and `password`") as stop:
        opened(**energy.settings(password=Secret("a wrong one")))
    assert "a wrong one" not in str(stop.value)


def test_a_missing_right_is_told_with_the_statement_that_gives_it(energy: "Energy", opened: Opened) -> None:
    """What the message says to run is what helps."""
    server = energy.server
    server.sql("CREATE OR REPLACE USER 'poor user'@'127.%' IDENTIFIED BY 'secret'")
    settings = energy.settings(user="poor user", schema="samples")
    for _ in range(2):
        with pytest.raises(Stop, match=r"has not all rights .* an administrator gives them by: GRANT") as stop:
            opened(**settings)
    server.sql(str(stop.value).partition("gives them by: ")[2])
    readings = [reading(0), reading(10_000_000, ch1_aws=36_000)]
    opened(**settings).process_batch(Batch(tuple(readings), tuple(samples_between(readings))))
    assert energy.count("samples") > 0


def test_a_right_for_a_table_is_told_too(energy: "Energy", opened: Opened) -> None:
    """A user who may read alone is told so when the first row is stored."""
    energy.server.sql("CREATE DATABASE energy")
    energy.server.sql("CREATE OR REPLACE USER reader IDENTIFIED BY 'secret'")
    energy.server.sql("GRANT SELECT ON energy.* TO reader")
    sink = opened(**energy.settings(user="reader"))
    with pytest.raises(
        Stop, match=r"1142: CREATE command denied .*GRANT SELECT, INSERT.* ON `energy`.\* TO 'reader'@'%'"
    ):
        sink.process_batch(batch(0, 1))


def test_a_table_that_was_dropped_is_made_anew(energy: "Energy", opened: Opened) -> None:
    """A table, or a column of it, may be dropped while the sink runs."""
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 1))
    energy.sql(f"DROP TABLE {TABLE}")
    sink.process_batch(batch(0, 2))
    energy.sql(f"ALTER TABLE {TABLE} DROP COLUMN ch1_aws")
    sink.process_batch(batch(0, 3))
    assert stored(energy.server) == [(expected(3)[0][0], None), (expected(3)[1][0], None), expected(3)[2]]


@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
@pytest.mark.parametrize(
    "key", ["id bigint primary key auto_increment", "id bigint", "other int primary key auto_increment"]
)
def test_tables_with_any_key_are_continued(key: str, engine: str, energy: "Energy", opened: Opened) -> None:
    """In a table with any key, or none, two meters may have one key, and each reading is there once."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql(f"CREATE TABLE house ({key}, time_created bigint, serial varchar(10)) ENGINE = {engine}")
    energy.sql("INSERT INTO house (time_created, serial) VALUES (1, '312345'), (2, '312345')")
    both = [reading(0), reading(0, "420467"), reading(1), reading(1, "420467")]
    for some in (both[:1], both, both[1:2], both):
        opened(**energy.settings(table="house")).process_batch(Batch(tuple(some)))
    rows = energy.sql("SELECT time_created, serial, ABS(id) FROM house WHERE time_created > 2")
    assert sorted(rows) == sorted((one.key // 1_000_000, one.serial, one.key) for one in both)
    assert energy.count("house") == 6


def test_a_table_whose_rows_repeat_is_continued(
    energy: "Energy", opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no unique key can be made each row is looked for first, and the log says so once."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql("CREATE TABLE house (id bigint, time_created bigint, serial varchar(10))")
    energy.sql("INSERT INTO house VALUES (1, 0, 'a'), (1, 0, 'a')")
    for _ in range(2):
        opened(**energy.settings(table="house")).process_batch(batch(0, 5))
    assert energy.count("house") == 7
    (said,) = [record.getMessage() for record in caplog.records if "no unique key" in record.getMessage()]
    assert said.startswith(
        f"table house of database energy at 127.0.0.1:{energy.server.port} has rows with the same id, "
    )


def test_a_row_that_is_refused_is_rejected(energy: "Energy", opened: Opened) -> None:
    """A number that does not fit its column rejects the batch, so that the core finds the row; the others go in."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql("CREATE TABLE house (id bigint, serial varchar(6), ch1_aws smallint, PRIMARY KEY (id, serial))")
    sink = opened(**energy.settings(table="house"))
    with pytest.raises(Reject, match=r"refuses this row .*Out of range value for column 'ch1_aws'"):
        sink.process_batch(Batch((reading(0), reading(1, ch1_aws=40_000))))
    assert energy.count("house") == 0
    sink.process_batch(Batch((reading(0),)))
    with pytest.raises(Reject, match="Data too long for column 'serial'"):
        sink.process_batch(Batch((reading(2, "01021234", "gem48ptbin"),)))
    assert energy.count("house") == 1


def test_a_column_of_the_wrong_type_is_told(energy: "Energy", opened: Opened) -> None:
    """A column that takes no numbers refuses the row, with the column's name."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql("CREATE TABLE house (id bigint, serial varchar(10), volts enum('high'))")
    with pytest.raises(Reject, match=r"refuses this row .*volts"):
        opened(**energy.settings(table="house")).process_batch(batch(0, 1))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("a int, b text", "house of .* is of another program: it has neither time_created nor serial, but a, b; name"),
        ("id varchar(20), time_created bigint, serial varchar(9)", "column id of .*house .* VARCHAR, expected BIGINT"),
    ],
)
def test_a_table_of_another_program_is_not_changed(
    columns: str, message: str, energy: "Energy", opened: Opened
) -> None:
    """A table that has nothing of ours, or a key of another type, stops the sink before a column is added to it."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql(f"CREATE TABLE house ({columns})")
    before = energy.sql("SHOW CREATE TABLE house")
    with pytest.raises(Stop, match=message):
        opened(**energy.settings(table="house")).process_batch(batch(0, 1))
    assert energy.sql("SHOW CREATE TABLE house") == before


def test_a_long_name_of_a_table_is_no_hindrance(energy: "Energy", opened: Opened) -> None:
    """The longest name that the setting takes leaves room for the names of views, and of indexes."""
    sink = opened(**energy.settings(table="x" * 54, schema="samples", retention=Duration(10 * 365 * 86400)))
    assert not list(sink.check())
    sink.create_storage(Context("sink.test", logging.getLogger("sink.test")), ())
    (problem,) = Mysql(**energy.settings(table="x" * 55, schema="samples")).check()
    assert "at most 54 letters with this schema" in problem.message


def test_a_view_in_place_of_the_table_stops(energy: "Energy", opened: Opened) -> None:
    """What is no table is told to refuse a statement."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql("CREATE VIEW house AS SELECT 1 AS id, 2 AS serial")
    with pytest.raises(Stop, match=r"refuses a statement .*name another `table`"):
        opened(**energy.settings(table="house")).process_batch(batch(0, 1))


@pytest.mark.parametrize("schema", ["counters", "samples"])
def test_what_another_worker_adds_meanwhile_stops_none(
    schema: str, energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column, an index or a view that is made between the look and the statement is taken as it is."""
    readings = [reading(0, ch1_aws=0), reading(10_000_000, ch1_aws=36_000)]
    both = Batch(tuple(readings), tuple(samples_between(readings)))
    settings = energy.settings(schema=schema, table="house")
    opened(**settings).process_batch(both)
    for view in ("house_daily", "house_monthly"):
        energy.sql(f"DROP VIEW IF EXISTS {view}")
    energy.sql("ALTER TABLE house DROP COLUMN volts, DROP PRIMARY KEY")
    energy.sql("DELETE FROM house")
    add, added = Preparation._add, []

    def add_too_late(self: Preparation, statement: str, is_there: Callable[[], bool]) -> None:
        self.connection.execute(statement)
        added.append(statement)
        add(self, statement, is_there)

    monkeypatch.setattr(Preparation, "_add", add_too_late)
    opened(**settings).process_batch(both)
    assert energy.count("house") > 0
    kinds = [statement.split()[1] for statement in added]
    assert kinds == ["TABLE", "UNIQUE"] if schema == "counters" else ["VIEW", "VIEW", "TABLE", "UNIQUE"]


def test_a_column_that_is_there_twice_by_mistake_stops(
    energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the table has already, and is not found there, no other worker has added: a person has to look."""
    opened(**energy.settings()).process_batch(batch(0, 1))
    monkeypatch.setattr(preparation, "missing_columns", lambda *_: ["volts"])
    with pytest.raises(Stop, match="has already what a statement makes"):
        opened(**energy.settings()).process_batch(batch(1, 2))
    assert energy.count() == 1


def test_two_programs_that_store_the_same_are_kept_apart(energy: "Energy", opened: Opened) -> None:
    """Two sinks at work on the same readings at the same time store each of them once."""
    sinks = [opened(**energy.settings()) for _ in range(2)]
    with ThreadPoolExecutor(2) as executor:
        for first in range(0, 300, 30):
            both = [executor.submit(sink.process_batch, batch(first, first + 30)) for sink in sinks]
            for one, sink in zip(both, sinks, strict=True):
                try:
                    one.result()
                except Retry:  # a deadlock, which the core would try again
                    sink.process_batch(batch(first, first + 30))
    assert stored(energy.server) == expected(300)


def test_a_gap_is_found_and_filled(
    energy: "Energy", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that somebody deleted are found by `replay --gaps`, and are what they were afterwards."""
    monkeypatch.chdir(tmp_path)
    words = ["simulate", "--format", "ecm1240bin", "--packets", "100", "--start", "2026-11-20T00:00Z"]
    assert main([*words, "--output", "cap"]) == OK
    own = energy.settings()
    table = "".join(f'{key} = "{own[key]}"\n' for key in ("host", "user", "database"))
    secret = own["password"].reveal()
    Path("site.toml").write_text(
        f'state = "state"\n[source.file]\npath = "cap"\n[sink.mysql]\n{table}port = {own["port"]}\n'
        f'password = "{secret}"\n'
    )
    assert main(["run", "--once", "--quiet", "site.toml"]) == OK
    before = energy.sql(f"SELECT * FROM {TABLE} ORDER BY id")
    energy.sql(f"DELETE FROM {TABLE} WHERE time_created % 100 < 40")
    missing = 100 - energy.count()
    capsys.readouterr()
    assert main(["replay", "mysql", "--gaps"]) == OK
    expected = f"sink.mysql: {missing} delivered, {missing} missing, {100 - missing} already there\n"
    assert (missing > 30, capsys.readouterr().out) == (True, expected)
    assert energy.sql(f"SELECT * FROM {TABLE} ORDER BY id") == before


def test_old_rows_are_deleted_in_slices(energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a retention, rows that are older than it go, a slice with each batch; those of btmon as well."""
    monkeypatch.setattr("btcore.sql.retention.SLICE", 40)
    energy.server.sql("CREATE DATABASE energy")
    energy.sql(f"CREATE TABLE {TABLE} (id bigint primary key auto_increment, time_created bigint, serial varchar(10))")
    old, young = int(START.timestamp()) - 3 * 86_400, int(START.timestamp()) - 86_400
    for time in (old, young):
        energy.sql(f"INSERT INTO {TABLE} (time_created, serial) SELECT {time} + seq, '312345' FROM seq_1_to_100")
    sink = opened(**energy.settings(retention=2 * 86_400.0))
    left = []
    for n in range(4):
        sink.process_batch(batch(n, n + 1))
        left.append(energy.sql(f"SELECT COUNT(*) FROM {TABLE} WHERE time_created < {young}")[0][0])
    assert left == [60, 20, 0, 0]
    assert energy.count() == 104
    (plan,) = energy.sql(f"EXPLAIN DELETE FROM {TABLE} WHERE time_created < {old}")
    assert "ecm1240bin_counters_time_created" in plan


def test_samples_have_a_row_for_each_channel(energy: "Energy", opened: Opened) -> None:
    """A row has what was measured of one channel, with its name; a batch that comes again changes nothing."""
    context = Context("sink.test", logging.getLogger("sink.test"), channels={"312345_ch1": "solar"})
    readings = [
        reading(0, ch1_aws=0, ch1_a=1.5),
        reading(10_000_000, ch1_aws=36_000, ch1_pws=9_000, ch1_a=2.5, aux1_ws=3600),
    ]
    sink = opened(context=context, **energy.settings(schema="samples"))
    for _ in range(2):
        sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings))))
    columns = "channel, name, seconds, watts, volts, amps, wh_delta"
    rows = energy.sql(f"SELECT {columns} FROM samples WHERE channel IN ('ch1', 'aux1') ORDER BY channel")
    assert rows == [("aux1", "312345_aux1", 10, 360, 121.5, None, 1), ("ch1", "solar", 10, 1800, 121.5, 2.5, 5)]
    assert energy.sql("SELECT DISTINCT time, serial FROM samples") == [
        (datetime(2024, 3, 1, 12, 0, 10), "312345")  # noqa: DTZ001 - as the database has it, in UTC
    ]


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "sql", [one for one in re.findall(r"```sql\n(.*?)```", README, re.DOTALL) if "SELECT " in one[:7]]
)
def test_the_queries_of_the_readme_work(sql: str, energy: "Energy", opened: Opened) -> None:
    """What the README shows is run."""
    now = (datetime.now(UTC) - START) // timedelta(microseconds=1)
    some = [
        reading(now + n * 60_000_000, "01021234", "gem48ptbin", ch1_aws=3_600_000 * n, secs=60 * n) for n in range(3)
    ]
    sink = opened(**energy.settings(schema="samples"))
    sink.process_batch(Batch(tuple(some), tuple(samples_between(some))))
    rows = energy.sql(sql.strip().rstrip(";"))
    assert rows
    assert "kwh" not in sql or sum(row[2] for row in rows if row[1] == "01021234_ch1") == 2


def test_check_creates_the_database(
    energy: "Energy", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`btcore check --create` creates the database, the table and the views, and says so once."""
    monkeypatch.chdir(tmp_path)
    server = f'host = "127.0.0.1"\nport = {energy.server.port}\nuser = "btcore"\ndatabase = "energy"\n'
    site = f'state = "state"\n[source.simulator]\n[sink.mysql]\n{server}schema = "samples"\npassword = "%s"\n'
    Path("site.toml").write_text(site % "wrong")
    assert main(["check", "--create"]) == UNAVAILABLE
    assert "sink.mysql: database energy at 127.0.0.1" in capsys.readouterr().err
    Path("site.toml").write_text(site % "secret")
    where = f"in database energy at 127.0.0.1:{energy.server.port}"
    assert main(["check", "--create"]) == OK
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"sink.mysql: created table samples {where}",
        f"sink.mysql: created view samples_daily {where}",
        f"sink.mysql: created view samples_monthly {where}",
    ]
    assert main(["check", "--create"]) == OK
    assert capsys.readouterr().out.splitlines()[-1] == "sink.mysql: nothing had to be created"
