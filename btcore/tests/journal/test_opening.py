# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a journal by a name or a URL: what is installed is found, what is wrong is named, no secret is shown."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from helpers.captured_log import logged
from helpers.config_plugins import MINIMAL_SITE, Load, problems_of
from helpers.distributions import install_distribution
from helpers.journal_entries import raw_entry

from btcore.cli import CONFIGURATION, main
from btcore.config.site import Site
from btcore.errors import ConfigurationError, Unavailable
from btcore.journal.memory import MemoryJournal
from btcore.journal.opening import check_url, describe_url, open_journal, secrets_in
from btcore.sqlite_journal.files.place import FILE_NAME
from btcore.sqlite_journal.journal import SqliteJournal

URL = "stranger://reader:Passw0rd@10.0.0.7/log?token=T0kenT0ken&keep=30d"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite", FILE_NAME),
        ("sqlite:", FILE_NAME),
        ("sqlite:///other.db", "other.db"),
        ("sqlite:////ABSOLUTE", "x.db"),
    ],
)
def test_a_journal_in_sqlite_is_in_the_file_of_its_url(tmp_path: Path, url: str, name: str) -> None:
    """Without a file it is in the state directory; a relative path is relative to that."""
    with closing(open_journal(url.replace("/ABSOLUTE", str(tmp_path / name)), tmp_path)) as journal:
        assert isinstance(journal, SqliteJournal)
        journal.append([raw_entry(1)])
        assert journal.location == str(tmp_path / name)
    with closing(sqlite3.connect(tmp_path / name)) as connection:
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (1,)


@pytest.mark.parametrize("url", ["sqlite", "sqlite:///other.db", "memory"])
def test_a_journal_that_must_exist_is_not_made(tmp_path: Path, url: str) -> None:
    """Whoever only looks into a journal changes nothing where there is none, and is told."""
    with pytest.raises(Unavailable, match=r"^there is no journal .*\.db$|^the journal is in memory: nothing"):
        open_journal(url, tmp_path, must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_in_memory_says_that_it_keeps_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever chose it for a run is warned: what is not delivered is lost."""
    assert isinstance(open_journal("memory", tmp_path), MemoryJournal)
    (warning,) = logged(caplog, logging.WARNING)
    assert warning.startswith("the journal is in memory: readings that are not delivered are lost")


def test_the_limit_in_bytes_is_passed_on(tmp_path: Path) -> None:
    """The journal takes no more than the configuration allows."""
    with closing(open_journal("sqlite", tmp_path, 1)) as journal:
        assert journal.is_full


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlte", 'no journal "sqlte" is installed; did you mean "sqlite"?'),
        ("kafka://me:Passw0rd@host", 'no journal "kafka" is installed; the installed journals are memory, '),
        ("/srv/journal.db", "expected the name of a journal (memory, "),
        ("sqlite:/srv/journal.db", "expected sqlite:///FILE, or sqlite:////DIRECTORY/FILE for an absolute path"),
        ("sqlite:///", "expected sqlite:///FILE, or sqlite:////DIRECTORY/FILE for an absolute path"),
        ("sqlite:///no/x.db", "/no; an absolute path has four slashes: sqlite:////no/x.db"),
        ("sqlite:////no/such/x.db", "there is no directory /no/such"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(tmp_path: Path, url: str, expected: str) -> None:
    """A message names the setting and what is installed or expected, and never the secret in it."""
    with pytest.raises(ConfigurationError) as raised:
        open_journal(url, tmp_path)
    assert expected in str(raised.value)
    assert str(raised.value).startswith("journal: ")
    assert "Passw0rd" not in str(raised.value)


# --- a journal of somebody else


STRANGER = """
from btcore.errors import Unavailable
from btcore.journal.memory import MemoryJournal
from btcore.journal.opening import wrong_url

def opening(options):
    assert options.url.startswith("stranger:") and options.max_bytes == 5 and options.state.is_dir()
    return MemoryJournal()

def failing(options):
    raise OSError(f"no answer from {options.url}")

def picky(options):
    raise wrong_url(f"expected a stream, found {options.url}")

def strict(options):
    raise AssertionError("check opens nothing")

strict.check = picky

def unavailable(options):
    raise Unavailable(f"no answer from {options.url}")
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with journals, and return the state directory."""
    journals = {
        "stranger": "opening",
        "failing": "failing",
        "unavailable": "unavailable",
        "picky": "picky",
        "strict": "strict",
        "absent": "absent",
    }
    install_distribution(tmp_path, "btmon-stranger", STRANGER, journals, group="btcore.journals")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_journal_of_another_distribution_is_opened(stranger: Path) -> None:
    """Whoever writes a journal registers what opens it, and gets the URL, the state directory and the limit."""
    assert isinstance(open_journal(URL, stranger, 5), MemoryJournal)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("failing", 'the journal "failing" of btmon-stranger 1.0 cannot be opened: no answer from failing://'),
        ("unavailable", "no answer from unavailable://"),
    ],
)
def test_a_journal_that_cannot_be_opened_is_named_without_its_secrets(stranger: Path, name: str, expected: str) -> None:
    """Whatever its opening raises becomes one message, in which neither password nor token is shown."""
    with pytest.raises(Unavailable) as raised:
        open_journal(URL.replace("stranger", name), stranger)
    assert str(raised.value).startswith(expected)
    assert "Passw0rd" not in str(raised.value)
    assert "T0kenT0ken" not in str(raised.value)


def test_a_journal_that_cannot_use_its_url_says_so_without_its_secrets(stranger: Path) -> None:
    """What it says is a mistake of the setting; a secret in it is redacted as well."""
    with pytest.raises(ConfigurationError, match=r"^journal: expected a stream, found picky://reader:\*\*\*@10"):
        open_journal(URL.replace("stranger", "picky"), stranger)


def test_a_journal_that_cannot_be_imported_is_named(stranger: Path) -> None:
    """The message names the distribution, and what may help."""
    with pytest.raises(
        ConfigurationError, match=r'^journal: journal "absent" of btmon-stranger 1\.0 cannot be imported'
    ):
        open_journal("absent", stranger)


# --- in a configuration


def test_a_configuration_chooses_its_journal(load: Load) -> None:
    """`journal` is a setting of the site; without it, the journal is in SQLite, in the state directory."""
    assert load(MINIMAL_SITE).journal == "sqlite"
    assert load('journal = "memory"\n' + MINIMAL_SITE).journal == "memory"


def test_an_unknown_journal_is_a_mistake_with_its_line(load: Load) -> None:
    """`check` finds it, and names what is installed; the secret in the URL is not shown."""
    (problem,) = problems_of(load, 'journal = "kafka://me:Passw0rd@host"\n' + MINIMAL_SITE)
    assert (problem.line, problem.key) == (1, "journal")
    assert problem.message.startswith('no journal "kafka" is installed; the installed journals are memory, ')


@pytest.mark.usefixtures("stranger")
def test_the_secrets_of_a_journal_are_known_to_the_log(load: Load) -> None:
    """What logs and shows a site knows the password and the token as secrets, and shows neither."""
    site = load(f'journal = "{URL}"\n' + MINIMAL_SITE)
    assert {"Passw0rd", "T0kenT0ken"} <= set(site.secrets)
    assert "Passw0rd" not in repr(site)
    assert isinstance(site, Site)


def test_check_shows_a_journal_without_its_secrets(
    stranger: Path, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    """The listing has the address, in both forms; in place of the rest stands `***`."""
    load(MINIMAL_SITE)
    site = stranger / "site.toml"
    site.write_text(f'state = "{stranger}"\njournal = "{URL}"\n' + MINIMAL_SITE)
    for words in (["check", str(site)], ["check", str(site), "--json"]):
        assert main(words) == 0
        shown = capsys.readouterr()
        assert "stranger://***@10.0.0.7/log?***" in shown.out
        assert "Passw0rd" not in shown.out + shown.err
        assert "T0ken" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("url", "secrets", "shown"),
    [
        ("sqlite", set(), "sqlite"),
        ("sqlite:////srv/x.db", set(), "sqlite:////srv/x.db"),
        ("nats://host:4222", set(), "nats://host:4222"),
        ("nats://t0ken@host", {"t0ken"}, "nats://***@host"),
        ("nats://me:p%40ss@host", {"p%40ss", "p@ss"}, "nats://***@host"),
        ("nats://me:a/b?c@host", {"a/b?c"}, "nats://***@host"),
        ("nats://host?auth_token=abc&age=3", {"abc"}, "nats://host?***"),
    ],
)
def test_the_secrets_of_a_url(url: str, secrets: set[str], shown: str) -> None:
    """A password, a token before the host and parameters with such names are secrets, as they stand and unquoted."""
    assert set(secrets_in(url)) == secrets
    assert describe_url(url) == shown


@pytest.mark.parametrize("url", ["sqlite:/srv/journal.db", "sqlite:////no/such/x.db"])
def test_check_finds_what_a_run_would(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that cannot be is a mistake in the configuration, in the same words; nothing is made."""
    file = tmp_path / "site.toml"
    file.write_text(f'journal = "{url}"\nstate = "state"\n[source.simulator]\n[sink.print]\n')
    assert main(["check", str(file)]) == CONFIGURATION
    checked = capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["site.toml"]
    assert main(["run", "--quiet", str(file)]) == CONFIGURATION
    assert (checked, checked.startswith(f"{file}: journal: ")) == (capsys.readouterr().err, True)


def test_check_shows_no_secret_of_a_url(stranger: Path) -> None:
    """What an implementation says of the URL is redacted here too; one without `check` is not asked."""
    with pytest.raises(ConfigurationError) as raised:
        check_url(URL.replace("stranger", "strict"), stranger)
    assert "expected a stream" in str(raised.value)
    assert not any(secret in str(raised.value) for secret in ("Passw0rd", "T0kenT0ken"))
    check_url(URL, stranger)
