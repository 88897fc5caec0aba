# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample configuration: every line of it is true."""

import re
from pathlib import Path

import pytest
import tomli

from btcore.config.problems import Problems
from btcore.config.tables import Reader
from btcore.config.toml import read
from btcore.discovery import find, installed
from btcore.values.describe import settings_of
from btcore.values.invalid_value import ConversionContext

ROOT = Path(__file__).parents[1]
SAMPLE = (ROOT / "sample.toml").read_text()
UNCOMMENTED = re.sub(r"^# (?=\w+ = )", "", SAMPLE, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [SAMPLE, UNCOMMENTED], ids=["as it is", "with all settings"])
@pytest.mark.parametrize("name", ["demo", "recording"])
def test_the_sample_is_a_valid_configuration(text: str, name: str, tmp_path: Path) -> None:
    """The tables of the sample are read without a mistake, also with every comment sign before a setting removed."""
    table = tomli.loads(text)["source"][name]
    plugin = find(table.pop("use"), installed())
    cls = plugin.load()
    findings = Problems("sample.toml", read(text))
    reader = Reader(findings, ConversionContext(tmp_path))
    known = settings_of(cls)
    reader.unknown(table, [entry.name for entry in known], ("source", name), ())
    instance = reader.instance(plugin, cls, known, table, ("source", name))
    assert findings.problems == []
    assert isinstance(instance, cls)


@pytest.mark.parametrize(("name", "plugin"), [("demo", "simulator"), ("recording", "file")])
def test_the_sample_shows_every_setting(name: str, plugin: str) -> None:
    """Each setting of the two sources is in the sample, with its default where it has one."""
    table = tomli.loads(UNCOMMENTED)["source"][name]
    known = settings_of(find(plugin, installed()).load())
    assert {entry.name for entry in known} == table.keys() - {"use"}
    shown = {entry.name: table[entry.name] for entry in known if entry.plain_default not in (None, "", [])}
    assert {entry.name: entry.plain_default for entry in known if entry.name in shown} == shown


def test_the_readme_shows_the_sample() -> None:
    """README.md contains the sample word by word."""
    assert SAMPLE in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("plugin", "origin"), [("simulator", "simulated"), ("file", "recorded")])
def test_what_is_not_live_says_so(plugin: str, origin: str) -> None:
    """The core is told that there is no meter, or none any more, so that no hosted service gets the readings."""
    assert find(plugin, installed()).load().origin == origin  # type: ignore[attr-defined]
