# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the sink, without a server."""

from pathlib import Path

import pytest

from btcore import Claim, Problem, Secret
from btcore.config.load import load_site
from btcore.errors import ConfigurationError
from btmon_mysql.sink import Mysql

SITE = """state = "state"
[source.simulator]
[sink.one]
use = "mysql"
user = "btcore"
database = "energy"
"""


def test_the_readme_shows_the_sample() -> None:
    """The README's sample is the file of that name."""
    folder = Path(__file__).parents[1]
    assert (folder / "sample.toml").read_text("utf-8") in (folder / "README.md").read_text("utf-8")


def test_the_password_is_in_no_text() -> None:
    """Neither the plugin nor what it is made of shows the password."""
    sink = Mysql(user="btcore", database="energy", password=Secret("hunter22"))
    assert "hunter22" not in repr(sink) + repr(sink._server) + repr(sink._writer)


def test_certificates_belong_to_verify(tmp_path: Path) -> None:
    """Certificates that would not be used, or that are not there, are told before anything is opened."""
    missing = tmp_path / "ca.pem"
    unused = Mysql(user="btcore", database="energy", ssl_ca=missing)
    absent = Mysql(user="btcore", database="energy", ssl_ca=missing, ssl="verify")
    assert list(unused.check()) == [Problem('it is used with ssl = "verify" alone', key="ssl_ca")]
    assert list(absent.check()) == [Problem(f"there is no file {missing}", key="ssl_ca")]


def test_two_sinks_of_one_table_are_told(tmp_path: Path) -> None:
    """Two tables of a configuration cannot store into one table of a database."""
    site = tmp_path / "site.toml"
    site.write_text(SITE + SITE.partition("\n[sink.one]")[2].join(["[sink.two]", ""]))
    with pytest.raises(
        ConfigurationError, match="table format_counters of energy at localhost:3306 is already used by"
    ):
        load_site(site)
    site.write_text(SITE + SITE.partition("\n[sink.one]")[2].join(["[sink.two]", 'schema = "samples"\n']))
    assert [sink.name for sink in load_site(site).sinks] == ["one", "two"]


def test_what_is_deleted_is_claimed() -> None:
    """A sink with a retention claims the old rows too, so that no source reads the table."""
    sink = Mysql(user="btcore", database="energy", table="house", retention=86_400.0)  # type: ignore[arg-type]
    where = "table house of energy at localhost:3306"
    assert list(sink.claims()) == [
        Claim(where, key="database", per_meter=True),
        Claim(f"old rows of {where}", key="retention", per_meter=True),
    ]


def test_a_host_has_no_port_with_it() -> None:
    """The driver would look for a computer of that name at each attempt; with a socket there is no host."""
    (problem,) = Mysql(user="btcore", database="energy", host="db:3307").check()
    assert problem == Problem("expected a name or an address, without a port, found 'db:3307'", key="host")
    assert not list(Mysql(user="btcore", database="energy", host="db:3307", unix_socket="/run/mysqld.sock").check())


@pytest.mark.parametrize("name", ["a b", "house; DROP TABLE x", "x" * 61])
def test_a_name_that_no_table_can_have_is_refused(name: str) -> None:
    """A wrong `table` is told before anything is opened."""
    with pytest.raises(ValueError, match="expected letters, digits and underscores"):
        Mysql(user="btcore", database="energy", table=name)
