# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be restarted for another configuration: what depends on what differs, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.workers.changes import SiteChanges, site_changes

SITE = """
state = "state"
{top}
[meters]
{meters}
[channels]
{channels}
[source.panel]
use = "tcp-server"
port = 8083
{panel}
[source.garage]
use = "tcp-client"
host = "192.0.2.1"
[sink.sqlite]
file = "energy.db"
{sqlite}
[sink.print]
{print}
{more}
"""

NOTHING: Mapping[str, str] = dict.fromkeys(("top", "meters", "channels", "panel", "sqlite", "print", "more"), "")


def site(folder: Path, **parts: str) -> Site:
    """Read a configuration."""
    file = folder / "site.toml"
    file.write_text(SITE.format(**{**NOTHING, **parts}))
    return load_site(file)


def changes(folder: Path, before: Mapping[str, str] | None = None, /, **after: str) -> SiteChanges:
    """Compare two configurations."""
    return site_changes(site(folder, **(before or {})), site(folder, **after))


def test_the_same_configuration_changes_nothing(tmp_path: Path) -> None:
    """Two readings of one file differ in nothing, though every instance is another one."""
    more = '[sink.things]\nuse = "thingspeak"\ntokens = { 399999 = "abcdefgh", 399998 = "ijklmnop" }'
    found = changes(tmp_path, {"more": more}, more=more)
    assert [*found.lines(), *found.on_restart, found.sources.ending, found.sinks.ending] == [frozenset(), frozenset()]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"panel": "max_connections = 9"}, ["source.panel: restarted (max_connections)"]),
        ({"panel": 'clock = "device-utc"'}, ["source.panel: restarted (clock)"]),
        ({"sqlite": 'table = "x"\nflush_interval = "2m"'}, ["sink.sqlite: restarted (table, flush_interval)"]),
        ({"sqlite": "only_live = true"}, ["sink.sqlite: restarted (only_live)"]),
        ({"print": 'use = "sqlite"\nfile = "other.db"'}, ["sink.print: restarted (use)"]),
        ({"more": '[sink.other]\nuse = "print"'}, ["sink.other: added"]),
        ({"more": '[source.other]\nuse = "tcp-server"\nport = 8090'}, ["source.other: added"]),
        ({"top": 'retention = "3d"'}, ["retention: changed"]),
        ({"more": '[metrics]\nlisten = "127.0.0.1:9464"'}, ["metrics: changed"]),
    ],
    ids=str,
)
def test_a_table_restarts_itself(tmp_path: Path, after: dict[str, str], expected: list[str]) -> None:
    """A table that differs is named with the settings that do; no other one is restarted."""
    assert list(changes(tmp_path, **after).lines()) == expected
    removed = [line.replace("added", "removed") for line in expected]
    assert list(changes(tmp_path, after).lines()) == removed


ALL_SINKS = {"sink.sqlite", "sink.print"}
ALL_SOURCES = {"source.panel", "source.garage"}


@pytest.mark.parametrize(
    ("after", "sources", "sinks"),
    [
        ({"channels": '"399999_ch1" = "solar"'}, set(), ALL_SINKS),
        ({"top": 'polarity = "btmon"'}, set(), ALL_SINKS),
        ({"more": '[tariff]\ncurrency = "EUR"\nprice = 0.3'}, set(), ALL_SINKS),
        ({"meters": 'house = { serial = "399999" }'}, ALL_SOURCES, ALL_SINKS),
    ],
    ids=["channels", "polarity", "tariff", "meters"],
)
def test_what_is_shared_restarts_what_depends_on_it(
    tmp_path: Path, after: dict[str, str], sources: set[str], sinks: set[str]
) -> None:
    """Names and signs are the sinks'; the names of meters are everybody's."""
    found = changes(tmp_path, **after)
    assert ({*found.sources.ending}, {*found.sinks.ending}) == (sources, sinks)
    assert found.is_naming_changed == bool(sources)


def test_what_the_journal_was_opened_with_takes_a_restart(tmp_path: Path) -> None:
    """The state directory and the size of the journal cannot change while it runs."""
    before = site(tmp_path)
    after = site(tmp_path, top="max_journal_bytes = 7")
    (tmp_path / "site.toml").write_text((tmp_path / "site.toml").read_text().replace('"state"', '"other"'))
    assert site_changes(before, after).on_restart == ("max_journal_bytes",)
    assert site_changes(before, load_site(tmp_path / "site.toml")).on_restart == ("state", "max_journal_bytes")


def test_what_had_stopped_is_started_again(tmp_path: Path) -> None:
    """A sink that waits for a restart gets one, as a person has asked for it."""
    found = site_changes(site(tmp_path), site(tmp_path), ["sink.print"])
    assert list(found.lines()) == ["sink.print: restarted (it had stopped)"]


def test_a_secret_and_what_a_file_has_count(tmp_path: Path) -> None:
    """A key that is another one restarts its sink, and is not shown."""
    key: dict[str, Any] = {
        "more": '[sink.roof]\nuse = "pvoutput"\napi_key = { file = "key" }\nsystem_id = "1"\ngeneration = "399999_ch1"'
    }
    (tmp_path / "key").write_text("0123456789abcdef")
    before = site(tmp_path, **key)
    (tmp_path / "key").write_text("fedcba9876543210")
    assert list(site_changes(before, site(tmp_path, **key)).lines()) == ["sink.roof: restarted (api_key)"]


def test_what_a_plugin_changes_of_itself_does_not_count(tmp_path: Path) -> None:
    """The configurations are compared, not what running instances have made of their settings."""
    more = {"more": '[sink.things]\nuse = "thingspeak"\ntokens = { 399999 = "abcdefgh" }'}
    before = site(tmp_path, **more)
    instance: Any = before.sinks[-1].instance
    instance.tokens.clear()
    assert list(site_changes(before, site(tmp_path, **more)).lines()) == []


def test_what_is_said_of_a_channel_beside_its_name_is_shared_too(tmp_path: Path) -> None:
    """A pulse counter that stands for more, or a channel in another area, restarts the sinks."""
    before = {"channels": '"01000777_p1" = { name = "water", unit = "L", per_pulse = 0.5 }'}
    found = changes(tmp_path, before, channels='"01000777_p1" = { name = "water", unit = "L", per_pulse = 1 }')
    assert {*found.sinks.ending} == ALL_SINKS
