# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble with a real PostgreSQL: a deadlock, certificates, rights, a table of somebody's own."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.captured_log import logged
from helpers.stored_readings import TABLE, keys_of, numbered_batch, numbered_reading, read_once
from servers.certificates import Authority
from servers.database_servers import PostgreSQL, free_port

from btcore import DiagnosisContext, Retry, Secret, Stop
from btcore.cli import OK, UNAVAILABLE, main
from btcore.testing import wait_for
from btmon_sql.sink import Sql

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers

COUNT = 20

Opened = Callable[..., Sql]


def test_a_deadlock_is_tried_again(energy: "Energy", opened: Opened) -> None:
    """Of two transactions that wait for each other the sink's is given up, and stored again later, each row once."""
    energy.create()
    energy.server.sql("ALTER USER btcore SET deadlock_timeout = '3s'")  # who looks first is given up
    sink = opened(**energy.settings())
    sink.process_batch(numbered_batch(0, 1))
    row = f"INSERT INTO {TABLE} (id, time_created, serial) VALUES (%s, 0, '312345')"
    with energy.server.connect("energy") as other, ThreadPoolExecutor(1) as pool:
        other.execute("SET deadlock_timeout = '1h'")
        other.execute("SET lock_timeout = '60s'")
        other.execute("BEGIN")
        other.execute(row, (numbered_reading(15).key,))
        storing = pool.submit(sink.process_batch, numbered_batch(0, COUNT))
        wait_for(lambda: energy.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "the sink to wait for the row")
        other.execute(row, (numbered_reading(5).key,))
        with pytest.raises(Retry, match=r"another transaction was in the way .*deadlock detected"):
            storing.result()
        other.execute("ROLLBACK")
    energy.server.sql("ALTER USER btcore RESET deadlock_timeout")
    assert energy.count() == 1
    sink.process_batch(numbered_batch(0, COUNT))
    assert energy.sql(f"SELECT id FROM {TABLE} ORDER BY id") == keys_of(range(COUNT))


@pytest.fixture(name="encrypted", scope="module")
def encrypted_fixture(authority: Authority) -> Iterator[PostgreSQL]:
    """Run a server with a certificate of the authority."""
    server = PostgreSQL()
    certificate, key = server.certify(authority)
    for option in ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}"):
        server.options += ["-c", option]
    with server:
        server.sql("CREATE USER btcore PASSWORD 'secret' CREATEDB")
        yield server


def verified(server: PostgreSQL, authority: Path, host: str = "127.0.0.1") -> Secret:
    """Return the URL of a server whose certificate is verified."""
    options = f"sslmode=verify-full&sslrootcert={authority}"
    return Secret(f"postgresql+psycopg://btcore:secret@{host}:{server.port}/energy?{options}")


def test_a_certificate_of_an_authority_of_ones_own_is_trusted(
    authority: Authority, encrypted: PostgreSQL, opened: Opened
) -> None:
    """With `sslmode=verify-full` and the authority in `sslrootcert` rows are stored through TLS."""
    sink = opened(url=verified(encrypted, authority.certificate))
    sink.process_batch(numbered_batch(0, 3))
    assert encrypted.sql(f"SELECT id FROM {TABLE} ORDER BY id", "energy") == keys_of(range(3))
    ours = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'btcore'"
    assert encrypted.sql(ours) == [(True,)]


def test_a_certificate_that_does_not_fit_is_refused(
    authority: Authority, encrypted: PostgreSQL, opened: Opened, tmp_path: Path
) -> None:
    """One of another authority, or of another host, is one line that says so."""
    other = Authority(tmp_path, "another")
    other.create()
    for url in (verified(encrypted, other.certificate), verified(encrypted, authority.certificate, "localhost")):
        with pytest.raises(Retry, match=r"^database energy .* shows a certificate that is not trusted") as told:
            opened(url=url)
        assert "\n" not in str(told.value)
        assert ":secret" not in str(told.value)
    with pytest.raises(Stop, match="correct them"):
        opened(url=verified(encrypted, tmp_path / "none.pem"))


def test_check_create_tries_the_rights(
    energy: "Energy", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user who may not create tables is told so before the first reading, with the statement that helps."""
    energy.server.sql("CREATE DATABASE energy")
    energy.server.sql("DROP USER IF EXISTS poor")
    energy.server.sql("CREATE USER poor PASSWORD 'secret'")
    monkeypatch.chdir(tmp_path)
    url = energy.settings(user="poor")["url"].reveal()
    Path("site.toml").write_text(f'state = "state"\n[source.tcp-server]\n[sink.sql]\nurl = "{url}"\n')
    assert main(["check", "--create"]) == UNAVAILABLE
    assert "permission denied for schema public" in capsys.readouterr().err
    (found,) = Sql(**energy.settings(user="poor")).diagnose(DiagnosisContext(name="sink.sql"))
    assert found.code == "database-rights"
    energy.sql(found.text.partition("gives them by: ")[2])
    assert main(["check", "--create"]) == OK
    assert "can be used; a table is created with the first reading" in capsys.readouterr().out
    assert list(Sql(**energy.settings(user="poor")).diagnose(DiagnosisContext(name="sink.sql"))) == []
    assert energy.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_doctor_names_what_is_wrong(energy: "Energy") -> None:
    """A table of another program, a wrong password and a server that is not there are findings."""
    energy.create()
    energy.sql("CREATE TABLE ecm1240bin_counters (name text)")
    energy.sql("ALTER TABLE ecm1240bin_counters OWNER TO btcore")
    nowhere = Secret(f"postgresql+psycopg://btcore:secret@127.0.0.1:{free_port()}/energy")
    for name in ("sink.sql", "source.old"):
        (found,) = Sql(**energy.settings()).diagnose(DiagnosisContext(name=name))
        assert (found.code, "ecm1240bin_counters" in found.text) == ("wrong-table", True)
        (found,) = Sql(**energy.settings(password="wr0ng-one")).diagnose(DiagnosisContext(name=name))
        assert (found.code, "wr0ng-one" in found.text) == ("credentials", False)
        (found,) = Sql(url=nowhere).diagnose(DiagnosisContext(name=name))
        assert found.code == "unreachable"


@pytest.mark.parametrize("kind", ["timestamp with time zone", "timestamp"])
def test_a_column_of_times_is_read(kind: str, energy: "Energy", caplog: pytest.LogCaptureFixture) -> None:
    """Where `time_created` has times instead of seconds they are read; a row that has none is left out, and counted."""
    energy.create()
    columns = "serial text, secs bigint, volts double precision, ch1_aws bigint, ch1_pws bigint"
    energy.sql(f"CREATE TABLE {TABLE} (id serial primary key, time_created {kind}, {columns})")
    energy.sql(f"GRANT SELECT ON {TABLE} TO btcore")
    for n in (1, 2):
        row = f"to_timestamp({1_709_294_400 + 10 * n}), '312345', {5000 + 10 * n}, 'NaN', {1000 * n}, 0"
        energy.sql(f"INSERT INTO {TABLE} (time_created, serial, secs, volts, ch1_aws, ch1_pws) VALUES ({row})")
    energy.sql(f"INSERT INTO {TABLE} (time_created, serial, secs) VALUES ('infinity', '312345', 7)")
    found = read_once(Sql(**energy.settings()))
    assert [(one.timestamp, one.get("volts")) for one in found] == [(1_709_294_410, None), (1_709_294_420, None)]
    assert any("no seconds since 1970" in one for one in logged(caplog)) == (kind == "timestamp")
    assert any("1 row of table ecm1240bin_counters" in one for one in logged(caplog))
