"""What the documentation tells to type and to write is what there is."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import tomli

from btcore.cli import CONFIGURATION, UNAVAILABLE, USAGE, _parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
SERVICE = (ROOT / "docs" / "service.md").read_text()
COMMAND = re.compile(r"(?:^ {4}|`)(?:sudo )?(?:-u \w+ )?(?:/opt/btcore/bin/)?btcore (\w[^`\n]*)", re.MULTILINE)
COMMANDS = [
    (page.relative_to(ROOT), found[1].partition("  #")[0].partition(" | ")[0].strip())
    for page in PAGES
    for found in COMMAND.finditer(page.read_text())
    if found[0].startswith(" ") or " " in found[1]  # in a sentence, a command may be named alone
]


@pytest.mark.parametrize(("page", "words"), sorted(set(COMMANDS)), ids=str)
def test_every_command_of_the_pages_is_one(page: Path, words: str) -> None:
    """Each `btcore ...` of the documentation is understood by the command line."""
    given = shlex.split(words)
    assert _parser(given).parse_args(given).command == given[0]


def test_there_are_commands_to_look_at() -> None:
    """The pages that tell how to begin have some."""
    assert {str(page) for page, _ in COMMANDS} >= {"README.md", "docs/using.md", "docs/service.md", "docs/meters.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_toml_of_the_pages_is_toml(page: Path) -> None:
    """What is to be written into a site.toml can be read, and a number that is a duration has its unit."""
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        tomli.loads(text)
        assert not re.search(r"^#? ?(keep|every|period|idle|poll|timeout|interval) = [1-9]", text, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_the_pages_leads_somewhere(page: Path) -> None:
    """A link to a file of the tree is to one that there is."""
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_unit_runs_what_there_is() -> None:
    """Its command is understood; it is not started again where that would not help, and is where it would."""
    (text,) = re.findall(r"```ini\n(.*?)```", SERVICE, re.DOTALL)
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/btcore/bin/btcore"
    assert str(_parser(words).parse_args(words).file) == "/etc/btcore/site.toml"
    codes = set(map(int, service["RestartPreventExitStatus"].split()))
    assert (codes, UNAVAILABLE in codes) == ({USAGE, CONFIGURATION}, False)
    assert (service["Restart"], service["StateDirectory"]) == ("on-failure", "btcore")
