# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings: the README's tables are valid, and every mistake is found."""

import re
from pathlib import Path

import pytest
from helpers.configured_sink import sink_from_toml
from servers.home_assistant import TOKEN

from btcore import BtcoreError, Duration
from btcore.config.load import load_site
from btmon_home_assistant.sink import HomeAssistant

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text("utf-8")
SAMPLE = (HERE / "sample.toml").read_text("utf-8")
TABLES = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
SOURCE = '[source.file]\nuse = "simulator"\n\n'
GOOD = 'url = "http://homeassistant.local:8123"\ntoken = "abc"\n'


def test_the_sample_is_what_the_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first table is the sample, and valid with the token in the environment."""
    monkeypatch.setenv("HOME_ASSISTANT_TOKEN", TOKEN)
    assert TABLES[0] == SAMPLE
    (tmp_path / "site.toml").write_text(SOURCE + SAMPLE)
    (sink,) = load_site(tmp_path / "site.toml").sinks
    assert (sink.table, sink.hosted, sink.delivery.interval) == ("sink.home-assistant", False, Duration(300))


def test_the_history_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's site that reads an old database is valid."""
    monkeypatch.setenv("HOME_ASSISTANT_TOKEN", TOKEN)
    (tmp_path / "site.toml").write_text(TABLES[1])
    assert [one.table for one in load_site(tmp_path / "site.toml").sinks] == ["sink.home-assistant"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('url = "homeassistant:8123"\ntoken = "abc"', "expected an address such as https://example.com/path"),
        ('url = "http://ha:8123"\ntoken = " "', "is empty"),
        (f'{GOOD}ssl_ca = "nowhere.pem"', "there is no file"),
        (f'{GOOD}timeout = "1h"', "expected more than 0 s, and at most 10 min"),
        ('url = "http://ha:8123"', "token"),
        (f'{GOOD}serials = "none"', "serials"),
    ],
)
def test_mistakes(tmp_path: Path, table: str, text: str) -> None:
    """Each mistake in the settings is reported before anything runs."""
    with pytest.raises(BtcoreError, match=re.escape(text)):
        sink_from_toml(tmp_path, f"[sink.home-assistant]\n{table}\n")


def test_a_token_on_the_internet_is_warned_of(tmp_path: Path) -> None:
    """A token that goes over the Internet unencrypted is a warning, and no mistake."""
    table = f"[sink.home-assistant]\n{GOOD}".replace("homeassistant.local", "house.example.com")
    sink = sink_from_toml(tmp_path, table).instance
    assert isinstance(sink, HomeAssistant)
    assert [(one.key, one.warning) for one in sink.check()] == [("url", True)]


def test_two_sinks_of_one_meter(tmp_path: Path) -> None:
    """Two tables cannot write the same statistics."""
    (tmp_path / "site.toml").write_text(
        f'{SOURCE}[sink.a]\nuse = "home-assistant"\n{GOOD}[sink.b]\nuse = "home-assistant"\n{GOOD}'
    )
    with pytest.raises(BtcoreError, match=r"statistics of Home Assistant at homeassistant\.local:8123"):
        load_site(tmp_path / "site.toml")
