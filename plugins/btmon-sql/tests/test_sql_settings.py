# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings, without a server: what a URL may be, and that no text shows a password."""

import logging
from pathlib import Path

import pytest

from btcore import Claim, Context, Secret, Stop
from btmon_sql.sink import Sql


def test_the_readme_shows_the_sample() -> None:
    """The README's sample is the file of that name."""
    folder = Path(__file__).parents[1]
    assert (folder / "sample.toml").read_text("utf-8") in (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "energy.db",
        "http://user:hunter22@host/x",
        "postgresql://user:hunter22@host",
        "oracle://a:hunter22@b/c",
        "postgresql://user:hunter22@host:70000/x",
    ],
)
def test_what_is_no_url_of_a_database_is_told(url: str) -> None:
    """A wrong URL is told with an example, and without what may be a password."""
    with pytest.raises(ValueError, match=r"expected a URL such as") as error:
        Sql(url=Secret(url))
    assert "hunter22" not in str(error.value)


@pytest.mark.parametrize("url", ["postgresql+psycopg2cffi", "postgresql+nothing"])
def test_a_driver_that_is_not_installed_is_told(url: str) -> None:
    """The message says what to install, or which drivers there are."""
    (problem,) = Sql(url=Secret(f"{url}://user@host/energy")).check()
    assert problem.key == "url"
    assert "pip install psycopg2cffi" in problem.message or "no driver that SQLAlchemy knows" in problem.message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg://user:hunter22@127.0.0.1:1/x?sslmode=maybe", "invalid sslmode value"),
        ("postgresql+psycopg://user:hunter22@127.0.0.1:1/x?colour=red", "invalid connection option"),
        ("sqlite:////nowhere/energy.db", "unable to open database file"),
    ],
)
def test_a_url_that_can_never_work_stops(url: str, reason: str) -> None:
    """An option that there is not, or a file that cannot be made, is not waited for as a server that is down is."""
    with pytest.raises(Stop, match=rf"cannot be opened as the settings say \(.*{reason}.*\): correct them") as stop:
        Sql(url=Secret(url)).open(Context("sink.test", logging.getLogger("sink.test")))
    assert "hunter22" not in str(stop.value)


def test_the_password_is_in_no_text() -> None:
    """Neither the plugin nor what it is made of shows the password, whichever setting it is in."""
    for sink in (
        Sql(url=Secret("postgresql://user:hunter22@host/energy")),
        Sql(url=Secret("postgresql://user@host/energy"), password=Secret("hunter22")),
    ):
        assert sink._address.secret == "hunter22"
        assert "hunter22" not in repr(sink) + repr(sink._writer) + repr(sink._address)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://host/energy", "energy at host:5432"),
        ("postgres://host:99/energy", "energy at host:99"),
        ("mysql+pymysql://host/energy", "energy at host:3306"),
        ("sqlite:////var/lib/energy.db", "/var/lib/energy.db"),
    ],
)
def test_tables_are_claimed_by_the_names_that_other_plugins_have(url: str, where: str) -> None:
    """Two sinks on one table are told, also where one of them is `mysql` or `sqlite`."""
    (claim,) = Sql(url=Secret(url), table="house").claims()
    assert claim == Claim(f"table house of {where}", key="url", per_meter=True)
