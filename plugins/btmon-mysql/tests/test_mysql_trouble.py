# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble with a real MariaDB: a deadlock, a full disk, certificates, rights, a table of somebody's own."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.captured_log import logged
from helpers.small_disk import small_disk
from helpers.stored_readings import TABLE, keys_of, numbered_batch, numbered_reading, read_once
from servers.certificates import Authority
from servers.database_servers import MariaDB

from btcore import Context, DiagnosisContext, Retry, Secret, Stop
from btcore.cli import OK, UNAVAILABLE, main
from btcore.testing import wait_for
from btmon_mysql.sink import Mysql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

COUNT = 20

Opened = Callable[..., Mysql]


def test_a_deadlock_is_tried_again(energy: "Energy", opened: Opened) -> None:
    """Of two transactions that wait for each other the sink's is given up, and stored again later, each row once."""
    sink = opened(**energy.settings())
    sink.process_batch(numbered_batch(0, 1))
    energy.sql("CREATE TABLE weight (n INT PRIMARY KEY)")
    row = f"INSERT INTO {TABLE} (id, time_created, serial) VALUES (%s, 0, '312345')"
    with energy.server.connect("energy") as other, other.cursor() as results, ThreadPoolExecutor(1) as pool:
        other.begin()
        results.executemany(
            "INSERT INTO weight VALUES (%s)", [(n,) for n in range(1000)]
        )  # the lighter transaction is given up
        results.execute(row, (numbered_reading(15).key,))
        storing = pool.submit(sink.process_batch, numbered_batch(0, COUNT))
        waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        wait_for(lambda: energy.server.sql(waiting), "the sink to wait for the row")
        results.execute(row, (numbered_reading(5).key,))
        with pytest.raises(Retry, match=r"another transaction was in the way .*1213: Deadlock found"):
            storing.result()
        other.rollback()
    assert energy.count() == 1
    sink.process_batch(numbered_batch(0, COUNT))
    assert energy.sql(f"SELECT id FROM {TABLE} ORDER BY id") == keys_of(range(COUNT))


def test_a_full_disk_of_the_server_waits(opened: Opened) -> None:
    """With a disk that is full nothing is lost: once there is room each reading is there once."""
    options = ("--innodb-log-file-size=8M", "--innodb-buffer-pool-size=8M", "--aria-log-file-size=8M")
    with small_disk(200) as disk, MariaDB(disk=disk.path, options=options) as server:
        server.sql("CREATE USER btcore IDENTIFIED BY 'secret'")
        server.sql("GRANT ALL ON energy.* TO btcore")
        where = {"host": "127.0.0.1", "port": server.port, "user": "btcore", "password": Secret("secret")}
        sink = opened(**where, database="energy")
        sink.process_batch(numbered_batch(0, 10))
        disk.fill()
        done = 10
        with pytest.raises(Retry, match=r"no space left at database energy .*free space on its disk"):  # noqa: PT012
            while done < 100_000:  # until what the table has in reserve is used up
                sink.process_batch(numbered_batch(done, done + 2000))
                done += 2000
        disk.free()
        last = done + 2000
        for first in range(0, last, 2000):
            sink.process_batch(numbered_batch(first, min(first + 2000, last)))
        assert server.sql(f"SELECT COUNT(*), COUNT(DISTINCT id) FROM {TABLE}", "energy") == [(last, last)]


@pytest.fixture(name="encrypted", scope="module")
def encrypted_fixture(authority: Authority) -> Iterator[MariaDB]:
    """Run a server with a certificate of the authority."""
    server = MariaDB()
    certificate, key = server.certify(authority)
    server.options += [f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    with server:
        server.sql("CREATE USER btcore IDENTIFIED BY 'secret' REQUIRE SSL")
        server.sql("GRANT ALL ON *.* TO btcore")
        yield server


def at(server: MariaDB, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - what a table may hold
    """Return the settings of a sink for a server."""
    own = {"host": "127.0.0.1", "port": server.port, "user": "btcore", "password": Secret("secret")}
    return {**own, "database": "energy", **more}


def test_a_certificate_of_an_authority_of_ones_own_is_trusted(
    authority: Authority, encrypted: MariaDB, opened: Opened
) -> None:
    """With `ssl = "verify"` and the authority in `ssl_ca` rows are stored through TLS."""
    sink = opened(**at(encrypted, ssl="verify", ssl_ca=authority.certificate))
    sink.process_batch(numbered_batch(0, 3))
    assert encrypted.sql(f"SELECT id FROM {TABLE} ORDER BY id", "energy") == keys_of(range(3))


def test_a_certificate_of_another_authority_is_refused(encrypted: MariaDB, opened: Opened, tmp_path: Path) -> None:
    """It is one line that says so; so is a file without certificates."""
    other = Authority(tmp_path, "another")
    other.create()
    with pytest.raises(Retry, match=r"^database energy .* a certificate that is not trusted .*verify failed") as told:
        opened(**at(encrypted, ssl="verify", ssl_ca=other.certificate))
    assert "\n" not in str(told.value)
    with pytest.raises(Stop, match=r"another.key has no certificates .*: correct `ssl_ca`$"):
        opened(**at(encrypted, ssl="verify", ssl_ca=other.key))
    with pytest.raises(Stop, match="refuses the user"):
        opened(**at(encrypted, ssl="off"))


POOR = "GRANT SELECT, INSERT ON energy.* TO poor"


def test_check_create_tries_the_rights(
    energy: "Energy", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who may not create tables is told so before the first reading, with the statement that helps."""
    server = energy.server
    server.sql("CREATE DATABASE energy")
    server.sql("CREATE OR REPLACE USER poor IDENTIFIED BY 'secret'")
    server.sql(POOR)
    monkeypatch.chdir(tmp_path)
    where = f'host = "127.0.0.1"\nport = {server.port}\nuser = "poor"\npassword = "secret"\ndatabase = "energy"\n'
    Path("site.toml").write_text(f'state = "state"\n[source.tcp-server]\n[sink.mysql]\n{where}')
    assert main(["check", "--create"]) == UNAVAILABLE
    error = capsys.readouterr().err
    assert "1142: CREATE command denied" in error
    assert list(Mysql(**energy.settings(user="poor")).diagnose(DiagnosisContext(name="source.old"))) == []
    (found,) = Mysql(**energy.settings(user="poor")).diagnose(DiagnosisContext(name="sink.mysql"))
    assert found.code == "database-rights"
    server.sql(found.text.partition("gives them by: ")[2])
    assert main(["check", "--create"]) == OK
    assert "can be used; a table is created with the first reading" in capsys.readouterr().out
    assert list(Mysql(**energy.settings(user="poor")).diagnose(DiagnosisContext(name="sink.mysql"))) == []
    assert energy.sql("SHOW TABLES") == []


def test_doctor_names_a_wrong_table(energy: "Energy") -> None:
    """A table of another program is a finding, of a sink and of a source; nothing in it is changed."""
    energy.server.sql("CREATE DATABASE energy")
    energy.sql("CREATE TABLE ecm1240bin_counters (name text)")
    for name in ("sink.mysql", "source.old"):
        (found,) = Mysql(**energy.settings()).diagnose(DiagnosisContext(name=name))
        assert (found.code, "ecm1240bin_counters" in found.text) == ("wrong-table", True)


@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMP"])
def test_a_column_of_times_is_read(kind: str, energy: "Energy", caplog: pytest.LogCaptureFixture) -> None:
    """Where `time_created` has times instead of seconds they are read, which is told; a sink changes nothing there."""
    energy.server.sql("CREATE DATABASE energy")
    columns = "serial varchar(20), secs bigint, ch1_aws bigint, ch1_pws bigint"
    energy.sql(f"CREATE TABLE {TABLE} (id int primary key auto_increment, time_created {kind} NULL, {columns})")
    for n in (1, 2):
        time = f"FROM_UNIXTIME({1_709_294_400 + 10 * n})"
        energy.sql(f"INSERT INTO {TABLE} VALUES (NULL, {time}, '312345', {5000 + 10 * n}, {1000 * n}, 0)")
    energy.sql(f"INSERT INTO {TABLE} VALUES (NULL, NULL, '312345', 7, 8, 0)")
    found = read_once(Mysql(**energy.settings()))
    assert [one.timestamp for one in found] == [1_709_294_410, 1_709_294_420]
    assert any(f"is {kind}, and no seconds since 1970: its times are taken to be in" in one for one in logged(caplog))
    assert any("1 row of table ecm1240bin_counters" in one for one in logged(caplog))
    sink = Mysql(**energy.settings())
    sink.open(Context("sink.test", logging.getLogger("sink.test")))
    with pytest.raises(Stop, match=f"column time_created of table {TABLE} .* is {kind}, expected BIGINT"):
        sink.process_batch(numbered_batch(0, 1))
    sink.close()
