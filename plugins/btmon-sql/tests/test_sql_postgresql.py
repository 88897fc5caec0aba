# SPDX-License-Identifier: GPL-3.0-or-later
"""With a real PostgreSQL: outages, rights, tables of all kinds, and each row there exactly once."""

import json
import logging
import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import recorded_readings
from helpers.samplers import samples_between
from servers.database_servers import PostgreSQL, free_port

from btcore import FORMATS, Batch, Context, Reading, Reject, Retry, Secret, Stop, pack
from btcore.cli import OK, main
from btcore.testing import wait_for
from btmon_sql import connection
from btmon_sql.address import Address
from btmon_sql.connection import SqlConnection
from btmon_sql.sink import Sql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

START = datetime(2024, 3, 1, 12, tzinfo=UTC)
TABLE = "ecm1240bin_counters"

Opened = Callable[..., Sql]


def reading(microseconds: int = 0, serial: str = "312345", name: str = "ecm1240bin", **values: float) -> Reading:
    """Make a reading, so many microseconds from the start."""
    raw = pack(name, serial, {"volts": 121.5, "secs": 5000 + microseconds // 1_000_000, **values})
    return Reading(START + timedelta(microseconds=microseconds), FORMATS[name], serial, raw)


def batch(first: int, last: int) -> Batch:
    """Make a batch of readings, ten seconds apart."""
    return Batch(tuple(reading(10_000_000 * n, ch1_aws=1000 * n) for n in range(first, last)))


@pytest.fixture(name="own")
def own_fixture() -> Iterator[PostgreSQL]:
    """Run a server for one test, which may stop and kill it."""
    with PostgreSQL() as server:
        server.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        yield server


def at(server: PostgreSQL) -> dict[str, Any]:
    """Return the settings of a sink for a server."""
    return {"url": Secret(f"postgresql://btcore@127.0.0.1:{server.port}/energy"), "password": Secret("secret")}


def stored(server: PostgreSQL, table: str = TABLE) -> list[tuple[Any, ...]]:
    """Return the keys and counters that are stored."""
    return server.sql(f"SELECT id, ch1_aws FROM {table} ORDER BY id", "energy")


def expected(count: int) -> list[tuple[int, int]]:
    """Return what is stored when so many readings of `batch` are, each once."""
    return [(one.key, 1000 * n) for n, one in enumerate(batch(0, count).readings)]


def test_a_restart_of_the_server_is_not_noticed(own: PostgreSQL, opened: Opened) -> None:
    """A connection that was lost while nothing was to do is made again, and the batch is stored at once."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    own.stop()
    own.start()
    sink.process_batch(batch(3, 6))
    assert stored(own) == expected(6)


def test_an_outage_waits(own: PostgreSQL, opened: Opened) -> None:
    """While the server is down each try is a Retry that names the server; then the same sink goes on."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    own.stop()
    for _ in range(2):
        with pytest.raises(Retry, match=rf"energy at 127.0.0.1:{own.port}"):
            sink.process_batch(batch(3, 6))
    own.start()
    sink.process_batch(batch(3, 6))
    assert stored(own) == expected(6)


def test_a_server_that_is_down_at_the_start_waits(opened: Opened) -> None:
    """A sink that cannot connect at first waits as well, and shows no password."""
    with pytest.raises(Retry, match=r"database energy at 127.0.0.1:\d+ cannot be reached .*tries again") as retry:
        opened(url=Secret(f"postgresql+psycopg://btcore:hunter22@127.0.0.1:{free_port()}/energy"))
    assert "hunter22" not in str(retry.value)


def test_a_server_killed_in_the_middle_of_a_batch_has_each_row_once(own: PostgreSQL, opened: Opened) -> None:
    """Whatever of a batch a server had taken when its power failed, all of it is there once in the end."""
    sink = opened(**at(own))
    sink.process_batch(batch(0, 3))
    holder = own.connect("energy")
    with ThreadPoolExecutor(1) as executor:
        holder.autocommit = False
        holder.execute(f"LOCK TABLE {TABLE} IN EXCLUSIVE MODE")
        work = executor.submit(sink.process_batch, batch(0, 400))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_for(lambda: own.sql(waiting), "the insert to wait")
        own.kill()
        with pytest.raises(Retry):
            work.result()
    with suppress(psycopg.Error):
        holder.close()
    own.start()
    sink.process_batch(batch(0, 400))
    sink.process_batch(batch(390, 400))
    assert stored(own) == expected(400)


def test_a_connection_killed_before_the_end_of_a_transaction_leaves_nothing_twice(
    energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that was cut off is done again at once, on a new connection."""
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 3))
    database = sink._writer._database
    assert database is not None
    own = database.connection.query("SELECT pg_backend_pid()")[0][0]
    insert = SqlConnection.execute_many

    def insert_and_die(*args: Any) -> None:  # noqa: ANN401 - as they come
        insert(*args)
        energy.server.sql(f"SELECT pg_terminate_backend({own})")

    monkeypatch.setattr(SqlConnection, "execute_many", insert_and_die)
    sink.process_batch(batch(0, 6))
    assert stored(energy.server) == expected(6)


def test_a_wrong_password_stops(energy: "Energy", opened: Opened) -> None:
    """It is one line that names the settings, without the password."""
    with pytest.raises(Stop, match=r"refuses the user .*correct `user` and `password`") as stop:
        opened(**energy.settings(password="hunter22"))
    assert "hunter22" not in str(stop.value)
    assert "\n" not in str(stop.value)


def test_a_missing_right_is_told_with_the_statement_that_gives_it(energy: "Energy", opened: Opened) -> None:
    """What each message says to run is what helps, until there is nothing to say."""
    server = energy.server
    server.sql('DROP USER IF EXISTS "poor user"')
    server.sql("CREATE USER \"poor user\" PASSWORD 'secret'")
    readings = [reading(0), reading(10_000_000, ch1_aws=36_000)]
    both = Batch(tuple(readings), tuple(samples_between(readings)))
    settings = energy.settings(user="poor%20user", schema="samples")
    told = []
    for database in ("postgres", "energy", "energy"):
        try:
            opened(**settings).process_batch(both)
        except Stop as stop:
            told.append(str(stop).partition("gives them by: ")[2])
            server.sql(told[-1], database)
    assert told == ['CREATE DATABASE "energy" OWNER "poor user"']
    assert energy.count("samples") > 0
    energy.sql("ALTER TABLE samples OWNER TO admin")
    with pytest.raises(
        Stop, match='an administrator gives them by: GRANT SELECT, INSERT, DELETE ON "samples" TO "poor user"'
    ):
        opened(**settings).process_batch(both)
    server.sql("DROP DATABASE energy WITH (FORCE)")
    server.sql('DROP USER "poor user"')


def test_a_table_of_somebody_else_needs_an_owner(energy: "Energy", opened: Opened) -> None:
    """To add a column a user must own the table, which is told with the statement."""
    energy.create()
    energy.sql("CREATE TABLE house (id bigint, serial text)")
    energy.sql("GRANT ALL ON house TO btcore")
    with pytest.raises(Stop, match=r'ALTER TABLE "house" OWNER TO "btcore"$') as stop:
        opened(**energy.settings(table="house")).process_batch(batch(0, 1))
    energy.sql(str(stop.value).partition("gives them by: ")[2])
    opened(**energy.settings(table="house")).process_batch(batch(0, 1))
    assert energy.count("house") == 1


def test_a_database_that_another_creates_meanwhile_is_taken(
    energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several workers that create one database, those that come too late find it there, and do not stop."""
    create = connection._create

    def create_too_late(address: Address) -> None:
        energy.create()
        create(address)

    monkeypatch.setattr(connection, "_create", create_too_late)
    opened(**energy.settings()).process_batch(batch(0, 1))
    assert energy.count(TABLE) == 1


def test_columns_that_several_workers_add_at_once_stop_none(energy: "Energy", opened: Opened) -> None:
    """Of workers that found the same columns missing, those that come too late find them there, and store their rows.

    All of them have looked, and wait with what they add, before the first one may.
    """
    opened(**energy.settings()).process_batch(batch(0, 1))
    energy.sql(f"ALTER TABLE {TABLE} DROP COLUMN ch1_aws, DROP COLUMN volts, DROP COLUMN aux5_ws")
    sinks = [opened(**energy.settings()) for _ in range(4)]
    with energy.server.connect("energy") as holder, ThreadPoolExecutor(len(sinks)) as executor:
        holder.autocommit = False
        holder.execute(f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
        work = [executor.submit(sink.process_batch, batch(n, n + 1)) for n, sink in enumerate(sinks, 1)]
        waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE%'"
        wait_for(lambda: energy.sql(waiting) == [(len(sinks),)], "all to wait")
        holder.commit()
        for one in work:
            one.result()
    assert stored(energy.server)[1:] == expected(5)[1:]


def test_a_table_that_was_dropped_is_made_anew(energy: "Energy", opened: Opened) -> None:
    """A table, or a column of it, may be dropped while the sink runs."""
    sink = opened(**energy.settings())
    sink.process_batch(batch(0, 1))
    energy.sql(f"DROP TABLE {TABLE}")
    sink.process_batch(batch(0, 2))
    energy.sql(f"ALTER TABLE {TABLE} DROP COLUMN ch1_aws")
    sink.process_batch(batch(0, 3))
    assert stored(energy.server) == [(expected(3)[0][0], None), (expected(3)[1][0], None), expected(3)[2]]


@pytest.mark.parametrize("key", ["id bigserial primary key", "id bigint", "other serial primary key"])
def test_tables_with_any_key_are_continued(key: str, energy: "Energy", opened: Opened) -> None:
    """In a table with any key, or none, two meters may have one key, and each reading is there once."""
    energy.create()
    energy.sql(f"CREATE TABLE house ({key}, time_created bigint, serial varchar(10))")
    energy.sql("INSERT INTO house (time_created, serial) VALUES (1, '312345'), (2, '312345')")
    energy.sql("ALTER TABLE house OWNER TO btcore")
    both = [reading(0), reading(0, "420467"), reading(1), reading(1, "420467")]
    for some in (both[:1], both, both[1:2], both):
        opened(**energy.settings(table="house")).process_batch(Batch(tuple(some)))
    rows = energy.sql("SELECT time_created, serial, ABS(id) FROM house WHERE time_created > 2")
    assert sorted(rows) == sorted((one.key // 1_000_000, one.serial, one.key) for one in both)
    assert energy.count("house") == 6


def test_columns_that_lose_digits_are_told_once(
    energy: "Energy", opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the ALTER that widens the columns of another program; once that was done, all digits are kept."""
    energy.create()
    energy.sql("CREATE TABLE house (id bigint, ecm_serial text, ch1_wh real, ch1_dwh bigint, volts real)")
    energy.sql("ALTER TABLE house OWNER TO btcore")
    readings = [reading(0, ch1_aws=10**9), reading(10_000_000, ch1_aws=10**9 + 1234)]
    sink = opened(**energy.settings(table="house", schema="ecmreadext"))
    for _ in range(2):
        sink.process_batch(
            Batch(tuple(readings[:1]), tuple(samples_between([readings[0], reading(5_000_000, ch1_aws=10**9)])))
        )
    (said,) = [one.getMessage() for one in caplog.records if "fewer digits" in one.getMessage()]
    assert "ch1_wh (REAL), ch1_dwh (BIGINT);" in said
    energy.sql(said.partition("this widens them: ")[2])
    (sample,) = samples_between(readings)
    sink.process_batch(Batch(tuple(readings), (sample,)))
    key = readings[1].key
    assert energy.sql(f"SELECT ch1_wh, ch1_dwh FROM house WHERE id = {key}") == [
        (sample.values["ch1_wh"], sample.values["ch1_dwh"])
    ]


def test_a_row_that_is_refused_is_rejected(energy: "Energy", opened: Opened) -> None:
    """A number that does not fit its column rejects the batch, so that the core finds the row; the others go in."""
    energy.create()
    energy.sql("CREATE TABLE house (id bigint, serial varchar(6), ch1_aws smallint, PRIMARY KEY (id, serial))")
    energy.sql("ALTER TABLE house OWNER TO btcore")
    sink = opened(**energy.settings(table="house"))
    with pytest.raises(Reject, match=r"refuses this row .*smallint out of range"):
        sink.process_batch(Batch((reading(0), reading(1, ch1_aws=40_000))))
    assert energy.count("house") == 0
    sink.process_batch(Batch((reading(0),)))
    with pytest.raises(Reject, match="too long"):
        sink.process_batch(Batch((reading(2, "01021234", "gem48ptbin"),)))
    assert energy.count("house") == 1


def test_columns_for_whole_numbers_take_what_an_insert_rounds(energy: "Energy", opened: Opened) -> None:
    """COPY puts no 121.5 into a column of another program for whole numbers: an INSERT does it, each row once."""
    energy.create()
    columns = "id bigint, serial varchar(6), volts integer, ch1_aws numeric(20), PRIMARY KEY (id, serial)"
    energy.sql(f"CREATE TABLE house ({columns})")
    energy.sql("ALTER TABLE house OWNER TO btcore")
    sink = opened(**energy.settings(table="house"))
    for _ in range(2):
        sink.process_batch(batch(0, 3))
    assert energy.sql("SELECT volts, ch1_aws FROM house ORDER BY id") == [(122, 0), (122, 1000), (122, 2000)]


NAMES = ("tab\tand\nline", "\\N", "\\.", "it's 100 %s", "", "smør\r☀", "NULL")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_stored_as_it_is(name: str, energy: "Energy", opened: Opened) -> None:
    """No text of a row has a meaning for COPY."""
    context = Context("sink.test", logging.getLogger("sink.test"), channels={"312345_ch1": name})
    readings = [reading(0), reading(10_000_000, ch1_aws=36_000)]
    sink = opened(context=context, **energy.settings(schema="samples"))
    sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings))))
    assert energy.sql("SELECT name, wh_delta FROM samples WHERE channel = 'ch1'") == [(name, 10)]


def test_a_column_of_the_wrong_type_is_told(energy: "Energy", opened: Opened) -> None:
    """A column that takes no numbers refuses the statement, with the column's name."""
    energy.create()
    energy.sql("CREATE TABLE house (id bigint, serial varchar(10), volts date)")
    energy.sql("ALTER TABLE house OWNER TO btcore")
    with pytest.raises(Stop, match=r'column "volts" is of type date'):
        opened(**energy.settings(table="house")).process_batch(batch(0, 1))


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


def test_old_rows_are_deleted_in_slices(energy: "Energy", opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a retention, rows that are older than it go, a slice with each batch."""
    monkeypatch.setattr("btcore.sql.retention.SLICE", 40)
    energy.create()
    energy.sql(f"CREATE TABLE {TABLE} (id bigserial primary key, time_created bigint, serial varchar(10))")
    energy.sql(f"ALTER TABLE {TABLE} OWNER TO btcore")
    old, young = int(START.timestamp()) - 3 * 86_400, int(START.timestamp()) - 86_400
    for time in (old, young):
        series = f"SELECT {time} + n, '312345' FROM generate_series(1, 100) AS n"
        energy.sql(f"INSERT INTO {TABLE} (time_created, serial) {series}")
    sink = opened(**energy.settings(retention=2 * 86_400.0))
    left = []
    for n in range(4):
        sink.process_batch(batch(n, n + 1))
        left.append(energy.sql(f"SELECT COUNT(*) FROM {TABLE} WHERE time_created < {young}")[0][0])
    assert left == [60, 20, 0, 0]
    assert energy.count() == 104


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
    (time,) = energy.sql("SELECT DISTINCT time FROM samples")[0]
    assert time == START + timedelta(seconds=10)


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("sql", [one for one in re.findall(r"```sql\n(.*?)```", README, re.DOTALL) if "SELECT" in one])
def test_the_queries_of_the_readme_work(sql: str, energy: "Energy", opened: Opened) -> None:
    """What the README shows is run."""
    now = (datetime.now(UTC) - START) // timedelta(microseconds=1)
    some = [reading(now + n * 60_000_000, ch1_aws=3_600_000 * n, secs=60 * n) for n in range(3)]
    opened(**energy.settings(schema="samples")).process_batch(Batch(tuple(some), tuple(samples_between(some))))
    assert sum(row[2] for row in energy.sql(sql.strip()) if row[1] == "312345_ch1") == 2


def test_with_timescaledb_the_samples_are_a_hypertable(energy: "Energy", opened: Opened) -> None:
    """The function that the extension brings is called for a new table, once.

    TimescaleDB itself is not here: a function of its name and arguments takes note of the call.
    """
    energy.create()
    energy.sql("CREATE TABLE calls (relation text, time_column text)")
    energy.sql("GRANT ALL ON calls TO btcore")
    energy.sql(
        "CREATE FUNCTION create_hypertable(relation regclass, time_column_name name) RETURNS void LANGUAGE sql"
        " AS 'INSERT INTO calls VALUES (relation::text, time_column_name::text)'"
    )
    readings = [reading(0), reading(10_000_000)]
    for _ in range(2):
        opened(**energy.settings(schema="samples")).process_batch(
            Batch(tuple(readings), tuple(samples_between(readings)))
        )
    assert energy.sql("SELECT * FROM calls") == [("samples", "time")]


def test_check_creates_the_database(
    energy: "Energy", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`btcore check --create` creates the database and the table of the source's format, and says so once."""
    monkeypatch.chdir(tmp_path)
    url = f"postgresql+psycopg://btcore@127.0.0.1:{energy.server.port}/energy"
    source = '[source.simulator]\nformats = ["gem48ptbin"]\n'
    Path("site.toml").write_text(f'state = "state"\n{source}[sink.sql]\nurl = "{url}"\npassword = "secret"\n')
    for created in ("created table gem48ptbin_counters in database energy at 127.0.0.1:", "nothing had to be created"):
        assert main(["check", "--create"]) == OK
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"sink.sql: {created}")


RECORDED = sorted((GOLDEN / "sql").glob("sqlite.*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem.removeprefix("sqlite."))
def test_rows_are_those_of_btmon(path: Path, energy: "Energy", opened: Opened) -> None:
    """PostgreSQL, which btmon did not know, has the rows that btmon stored in SQLite, but for what it did wrong."""
    recording = json.loads(path.read_text("utf-8"))
    options, readings = recording["options"], recorded_readings(recording["input"]["stream"])
    sink = opened(**energy.settings(schema=options["db_schema"], table=options.get("sqlite_table", "")))
    sink.process_batch(Batch(tuple(readings), tuple(samples_between(readings, "btmon"))))
    names = [name for name in recording["columns"] if name != "id"]
    rows = energy.sql(f"SELECT {', '.join(names)} FROM {recording['tables'][0]}")
    ours = {row[names.index("time_created")]: dict(zip(names, row, strict=True)) for row in rows}
    for row in recording["rows"]:
        theirs = dict(zip(recording["columns"], row, strict=True))
        for name in names:
            assert same(name, ours[theirs["time_created"]][name], theirs[name]), name


def same(name: str, ours: Any, theirs: Any) -> bool:  # noqa: ANN401 - any stored value
    """Whether a value is btmon's, but for G1 (12 digits), B1 (no sensor), A13 (noise) and A1 (power both ways)."""
    if ours is None or isinstance(ours, str):
        return bool(ours == theirs or (ours is None and name.startswith("t") and theirs == 0))
    if name.endswith("_dwh"):
        return math.isclose(ours, theirs, rel_tol=1e-11, abs_tol=1e-8)
    return f"{ours:.12g}" == f"{theirs:.12g}" or (name.endswith("_w") and abs(ours) < abs(theirs))
