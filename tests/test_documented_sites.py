# SPDX-License-Identifier: GPL-3.0-or-later
"""Each site.toml on a page passes `btcore check`, without a warning of a mistake: completed by what it leaves out.

A block may show a single table, and may name a file or a variable that the reader makes: those are made here.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli
from helpers.folders import ROOT
from manual.pages import pages

from btcore.cli import OK, main

REFERENCE = "docs/reference/plugins.md"
"""Shows settings of each type alone, which its own test reads."""

PAGES = sorted({"README.md", *pages().values()} - {REFERENCE})
SITES = {
    f"{page}-{number}": text
    for page in PAGES
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL), 1)
}
OF_A_DISTRIBUTION = {"build-system", "project", "tool", "dependency-groups"}
"""Tables of a pyproject.toml."""


def is_site(site: Mapping[str, Any]) -> bool:
    """Whether a block is for a site.toml."""
    return not site.keys() & OF_A_DISTRIBUTION


def made_on_a_page() -> Iterator[str]:
    """Yield the plugins that a page makes, by itself or by `btcore new-plugin`: they are not installed here."""
    for page in PAGES:
        yield from re.findall(r"btcore new-plugin ([\w-]+)", (ROOT / page).read_text())
    for text in SITES.values():
        for points in tomli.loads(text).get("project", {}).get("entry-points", {}).values():
            yield from points


MADE = set(made_on_a_page())


def used(site: Mapping[str, Any]) -> set[str]:
    """Return the plugins that a site uses."""
    return {
        table.get("use", name) for kind in ("source", "sink", "decoder") for name, table in site.get(kind, {}).items()
    }


def completed(text: str) -> str:
    """Return a site with what a block leaves out: a state of its own, the sources that it names, a sink."""
    site = tomli.loads(text)
    sources = site.get("source", {})
    named = {meter["source"] for meter in site.get("meters", {}).values() if "source" in meter} - sources.keys()
    more = [f'[source.{name}]\nuse = "tcp-server"\nport = {9000 + at}' for at, name in enumerate(sorted(named))]
    more += [] if sources or named else ["[source.tcp-server]"]
    more += [] if "sink" in site else ["[sink.print]"]
    return "\n".join([*([] if "state" in site else ['state = "state"']), text, *more, ""])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the files that pages name, and every variable."""
    for name in ("ca.crt", "btcore.crt", "btcore.key"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a site, with the variables and the files of secrets that it names."""
    for name in re.findall(r'env = "(\w+)"', text):
        monkeypatch.setenv(name, "https://service.example/1234567890" if name.endswith("URL") else "1234567890")
    secret = folder / "secret"
    secret.write_text("1234567890")
    secret.chmod(0o600)
    site = folder / "site.toml"
    site.write_text(re.sub(r'\{ file = "/[^"]*" \}', f'{{ file = "{secret}" }}', completed(text)))
    site.chmod(0o600)
    return site


@pytest.mark.parametrize("name", [name for name, text in SITES.items() if is_site(tomli.loads(text))])
def test_it_has_no_mistake(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes what stands on the page has a site that `btcore check` takes."""
    if used(tomli.loads(SITES[name])) & MADE:
        return  # the page makes this plugin: its own test installs it
    code = main(["check", "--config", str(written(SITES[name], folder, monkeypatch))])
    assert code == OK, capsys.readouterr().err


def test_a_block_with_a_mistake_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that there is not, and a meter whose source is another plugin's, would be found."""
    for wrong in ('[sink.sqlite]\nfil = "energy.db"\n', '[source.panel]\nuse = "tcp-server"\nport = "8083"\n'):
        assert main(["check", "--config", str(written(wrong, folder, monkeypatch))]) != OK


def test_there_are_sites_to_look_at() -> None:
    """The pages by which a user begins have some, and so has each plugin's page."""
    with_sites = {name.rpartition("-")[0] for name in SITES}
    assert {"README.md", "docs/using.md", "docs/service.md", "docs/wiring.md", "docs/from-btmon.md"} & with_sites
    plugins = {page for page in PAGES if page.startswith("plugins/")}
    assert plugins - with_sites <= {"plugins/btmon-migrate/README.md", "plugins/btmon-watch/README.md"}
