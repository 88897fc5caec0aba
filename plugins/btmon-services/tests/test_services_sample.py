# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample is a configuration that works, for every service of the package, and the README shows it."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pytest
import tomli
from helpers import hosted_services

from btcore import Secret
from btcore.config.load import load_site
from btcore.errors import ConfigurationError

HERE = Path(__file__).parents[1]
SAMPLE = (HERE / "sample.toml").read_text("utf-8")
README = (HERE / "README.md").read_text("utf-8")
SERVICES = sorted(tomli.loads((HERE / "pyproject.toml").read_text())["project"]["entry-points"]["btcore.plugins"])
BTMON = {
    "bidgely": "by",
    "emoncms": "oem",
    "enersave": "es",
    "eragy": "eg",
    "peoplepower": "pp",
    "plotwatt": "pw",
    "smartenergygroups": "seg",
    "thingspeak": "ts",
    "wattvision": "wv",
    "wattzon": "wo",
    "xively": "pbe",
}
"""What btmon's names of a service's options begin with."""


def test_the_sample_has_a_table_for_every_service_and_each_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the keys in the environment it needs nothing else."""
    for name in re.findall(r'env = "(\w+)"', SAMPLE):
        monkeypatch.setenv(name, "https://example.com/key" if name.endswith("URL") else "key")
    (tmp_path / "site.toml").write_text(f'state = "."\n[source.tcp-server]\n\n{SAMPLE}')
    site = load_site(tmp_path / "site.toml")
    assert sorted(sink.plugin for sink in site.sinks) == SERVICES


def test_every_service_has_a_server_that_stands_in_for_it() -> None:
    """`helpers/hosted_services.py` has each service, so what must hold for all is tested of the next one too."""
    assert sorted(hosted_services.SERVICES) == SERVICES


def test_the_readme_shows_the_sample() -> None:
    """Word for word."""
    assert f"```toml\n{SAMPLE}```" in README


@pytest.mark.parametrize("name", SERVICES)
def test_all_that_is_missing_is_told_at_once(tmp_path: Path, name: str) -> None:
    """Golden `missing_options`: every setting that must be given, in one go, each with what it is."""
    (tmp_path / "site.toml").write_text(f'state = "."\n[source.tcp-server]\n[sink.x]\nuse = "{name}"\n')
    with pytest.raises(ConfigurationError) as error:
        load_site(tmp_path / "site.toml")
    (point,) = entry_points(group="btcore.plugins", name=name)
    needed = [field.name for field in attrs.fields(point.load()) if field.default is attrs.NOTHING]
    assert [problem.key for problem in error.value.problems] == needed
    assert all(problem.message.startswith("a required setting is missing: ") for problem in error.value.problems)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('url = "emoncms.org"\ntoken = "a key"', [("url", "expected an address such as https://example.com/path")]),
        (
            'url = "https://me:mine@emoncms.org"\ntoken = "a key"',
            [("url", "expected an address without a user name and password")],
        ),
        ('token = ""', [("token", "is empty")]),
        ('token = "a key"\ntimeout = 0', [("timeout", "expected more than 0 s, and at most 10 min")]),
        ('token = "a key\\n"', [("token", "expected no spaces around it and no line breaks in it")]),
    ],
)
def test_what_can_never_work_is_told_before_anything_is_sent(
    tmp_path: Path, settings: str, expected: list[tuple[str, str]]
) -> None:
    """With its setting, and never with the key."""
    (tmp_path / "site.toml").write_text(f'state = "."\n[source.tcp-server]\n[sink.emoncms]\n{settings}\n')
    with pytest.raises(ConfigurationError) as error:
        load_site(tmp_path / "site.toml")
    assert [(problem.key, problem.message) for problem in error.value.problems] == expected


@pytest.mark.parametrize("name", BTMON)
def test_the_readme_tells_who_comes_from_btmon_each_option_s_new_name(name: str) -> None:
    """In the table of names, under what btmon's options begin with."""
    (point,) = entry_points(group="btcore.plugins", name=name)
    (row,) = re.findall(rf"^\| `{BTMON[name]}_` \| `{name}` \| (.*) \|$", README, re.MULTILINE)
    settings = {field.name for field in attrs.fields(point.load())}
    assert set(re.findall(r"→ `(\w+)`", row)) <= settings | {"interval", "flush_interval"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hosted_where_its_address_is_public(name: str) -> None:
    """At its own address, and at any on the Internet, it is; one at home is a server of one's own."""
    (point,) = entry_points(group="btcore.plugins", name=name)
    cls = point.load()
    fields = attrs.fields_dict(cls)
    # none of them is read before the sink is opened, but for the meters that ThingSpeak has keys of
    needed = {key: {"399999": Secret("key")} for key, field in fields.items() if field.default is attrs.NOTHING}
    secret = fields["url"].default is attrs.NOTHING  # bidgely's, which has the token in it
    if not secret and fields["url"].default:
        assert cls(**needed).hosted is True
    for url, hosted in (("https://x.example.com/a", True), ("http://192.168.1.7:8080/a", False)):
        assert cls(**{**needed, "url": Secret(url) if secret else url}).hosted is hosted
