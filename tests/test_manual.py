# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual: which pages it has, where their links lead, and that its reference leaves nothing out."""

import posixpath
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]
from helpers.folders import ROOT
from manual.navigation import complete, named_pages
from manual.pages import ROOT as PAGES_ROOT
from manual.pages import list_of_decisions, pages, text_of, title_of, with_links
from manual.reference import command_names, command_parser, commands, configuration, of_kind, overview, written
from packages import OFFERED

from btcore.config.site import core_settings, site_settings
from btcore.settings import Kind

PAGES = pages()
PICTURES = sorted((ROOT / "docs" / "pictures").glob("polarity-*.svg"))


def navigation() -> list[Any]:
    """Return the navigation of mkdocs.yml, completed."""
    nav: list[Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    return complete(nav, {page: title_of(page) for page in PAGES})


def tree(root: Path, **files: str) -> Path:
    """Write files, `a__b` for a/b.md, of a repository."""
    for name, text in files.items():
        file = root / f"{name.replace('__', '/')}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_every_page_is_in_the_navigation_once() -> None:
    """A page of the repository, and one that is written from the code, is found by the navigation."""
    named = list(named_pages(navigation()))
    assert sorted(named) == sorted({*PAGES, *written()})
    assert ROOT == PAGES_ROOT


def test_a_new_page_goes_where_its_kind_is() -> None:
    """A decision goes among the decisions, a plugin among plugins, any other to those who write plugins."""
    nav = ["index.md", {"Plugins": [{"More plugins": []}]}, {"Your own plugin": ["a.md"]}, {"Decisions": []}]
    titles = {"index.md": "Home", "a.md": "A", "b.md": "B", "adr/1.md": "1. One", "plugins/new.md": "new"}
    assert complete(nav, titles) == [
        "index.md",
        {"Plugins": [{"More plugins": [{"new": "plugins/new.md"}]}]},
        {"Your own plugin": ["a.md", {"B": "b.md"}]},
        {"Decisions": [{"1. One": "adr/1.md"}]},
    ]
    assert complete(["a.md", {"More plugins": []}], {"a.md": "A"}) == ["a.md"]


def test_links_lead_to_the_same_file_from_anywhere(tmp_path: Path) -> None:
    """A link leads to the page that its file became; what is code, an address or no page stays as it is."""
    to_using = "[u](../../docs/using.md)"
    root = tree(
        tmp_path,
        docs__using="# Using\n\n[x](../plugins/btmon-x/README.md#set-up) ![p](pictures/p.svg)",
        docs__adr__0001="# 1. One\n",
        README="# home\n",
        CHANGELOG="# Changes\n\n[0001.md](docs/adr/0001.md) [why](docs/using.md#why) [e](https://a.example/docs/using.md)",
        **{"plugins__btmon-x__README": f"# x\n\n{to_using} `{to_using}` [core](../../README.md)"},
    )
    assert text_of("using.md", root).endswith("[x](plugins/btmon-x.md#set-up) ![p](pictures/p.svg)")
    assert text_of("plugins/btmon-x.md", root).endswith(f"[u](../using.md) `{to_using}` [core](../index.md)")
    changes = text_of("changelog.md", root)
    assert changes.endswith("[1. One](adr/0001.md) [why](using.md#why) [e](https://a.example/docs/using.md)")
    assert with_links("[t](../tests/x.py)", "docs/using.md", "using.md", root) == "[t](../tests/x.py)"


def test_a_link_that_shows_code_leads_to_the_page() -> None:
    """Links are written anew whatever they show; what only looks like a link, in code, is not."""
    text = "[`a [b]`](../../docs/using.md#meters) and `[x](../../docs/using.md)`"
    made = with_links(text, "plugins/btmon-ip/README.md", "plugins/btmon-ip.md")
    assert made == "[`a [b]`](../using.md#meters) and `[x](../../docs/using.md)`"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_no_link_leads_out_of_the_manual(page: str) -> None:
    """Each link of a page leads to another page or to a picture, or to an address on the Internet."""
    text = with_links((ROOT / PAGES[page]).read_text(), PAGES[page], page)
    links = re.findall(r"\]\((?!https?://|#)([^)\s#]+)", re.sub(r"(?ms)^```.*?^```$|(?<!\[)`[^`\n]+`(?!\])", "", text))
    assert [link for link in links if not leads_somewhere(posixpath.join(posixpath.dirname(page), link))] == []


def leads_somewhere(place: str) -> bool:
    """Whether a page or a picture has this place."""
    place = posixpath.normpath(place)
    return place in {*PAGES, *written()} or (ROOT / "docs" / place).is_file()


def test_a_list_stands_apart_from_its_paragraph(tmp_path: Path) -> None:
    """A list right behind a paragraph is a list in the manual, too; a list and its further lines stay together."""
    lists = "  * `one`\n    and more\n  * two\n\n- `three` at once\n- four\n\n```\na\n- b\n```"
    root = tree(tmp_path, plugins__x__README=f"# x\n\nThese:\n{lists}")
    assert text_of("plugins/x.md", root) == f"# x\n\nThese:\n\n{lists}"


def test_a_link_that_shows_a_path_shows_the_title(tmp_path: Path) -> None:
    """A reader of the manual sees the name of the page, not that of a file of the repository."""
    link = "[docs/numbers.md](../../docs/numbers.md)"
    root = tree(tmp_path, docs__numbers="# What the numbers mean", plugins__x__README=link)
    assert text_of("plugins/x.md", root) == "[What the numbers mean](../numbers.md)"


def test_the_decisions_are_listed(tmp_path: Path) -> None:
    """The page before the decisions has a link to each, by its title, in their order."""
    root = tree(
        tmp_path, docs__adr__README="# Decisions\n", docs__adr__0001="# 1. `One`\n", docs__adr__0002="# 2. Two\n"
    )
    assert list_of_decisions(root) == "- [1. One](0001.md)\n- [2. Two](0002.md)"


def rows(text: str, heading: str) -> set[str]:
    """Return the first cells of the table below a heading."""
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def test_every_setting_is_in_the_reference() -> None:
    """Each setting of the site, of every table of a kind and of each plugin has its row, and there is no other."""
    text = configuration()
    assert rows(text, "The top of the file") == {entry.name for entry in site_settings()}
    for kind in ("source", "sink"):
        assert rows(text, f"Every `[{kind}.NAME]`") == {entry.name for entry in core_settings(kind, object)}
    for kind in get_args(Kind):
        for one in of_kind(kind):
            assert rows(text, f"{kind} `{one.name}`") == {entry.name for entry in one.settings}


def test_every_plugin_is_in_the_overview() -> None:
    """The page of what there is has each plugin of the workspace, with a link to its page."""
    text = overview()
    assert set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)) == OFFERED.keys()
    assert {f"plugins/{page}" for page in re.findall(r"\]\((\S+\.md)\)", text)} <= PAGES.keys()


def options(name: str) -> Iterator[str]:
    """Yield all options that the help of a command shows, of its inner commands too."""
    waiting = [command_parser(name)]
    while waiting:
        parser = waiting.pop()
        for action in parser._actions:
            yield from action.option_strings
            if isinstance(action.choices, dict):
                waiting += action.choices.values()


@pytest.mark.parametrize("name", command_names())
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    """Each command has its heading, each of its options a row in it."""
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", commands(), re.MULTILINE | re.DOTALL)
    shown = set(re.findall(r"`(--?[\w-]+)", section))
    assert set(options(name)) - {"-h", "--help"} - shown == set()


def test_the_reference_knows_nothing_of_whoever_builds_it() -> None:
    """No page that is written from the code has a path of the machine that writes it."""
    assert [page for page, text in written().items() if str(Path.home()) in text or str(ROOT) in text] == []


def test_a_cell_shows_what_would_be_markup() -> None:
    """Underscores and the like of a help text neither break the table nor change the letters."""
    names = {entry.name for one in of_kind("source") for entry in one.settings}
    assert {"poll_interval", "idle_timeout"} <= names
    assert "max\\_new\\_meters\\_per\\_day" in configuration()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_a_drawing_can_be_read(picture: Path) -> None:
    """A drawing is small, has a title, no scripts, fits a phone, and a page shows it with a text for who cannot see."""
    text = picture.read_text()
    root = ET.fromstring(text)
    assert root.findtext("{http://www.w3.org/2000/svg}title")
    assert (len(text) < 4000, float(root.attrib["width"]) <= 420, "script" in text) == (True, True, False)
    assert re.search(rf"!\[[^\]]{{20,}}\]\(pictures/{picture.name}\)", (ROOT / "docs" / "polarity.md").read_text())
