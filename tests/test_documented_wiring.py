# SPDX-License-Identifier: GPL-3.0-or-later
"""`docs/wiring.md`: each table that it shows can be used as it is, and each picture is there."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from helpers.folders import ROOT

from btcore.cli import main

PAGE = (ROOT / "docs" / "wiring.md").read_text()
TABLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
PICTURES = re.findall(r"!\[([^\]]+)\]\((pictures/[^)]+\.svg)\)", PAGE)


@pytest.mark.parametrize("text", TABLES, ids=range(len(TABLES)))
@pytest.mark.parametrize("is_complete", [False, True], ids=["as it is", "with all settings"])
def test_a_table_can_be_used(text: str, is_complete: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No table of the page has a mistake, nor has one with the settings that are shown as comments."""
    if is_complete:
        text = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    file = tmp_path / "site.toml"
    file.write_text(f'state = "state"\n{text}[sink.print]\n')
    code = main(["check", "--config", str(file)])
    assert code == 0, capsys.readouterr()


def test_there_is_a_table_and_a_picture_for_each_wiring() -> None:
    """Each section has one of each; each section is in the list on top."""
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = re.findall(r"\]\(#([^)]+)\)", PAGE)
    assert [re.sub(r"[^a-z0-9 ]", "", title.lower()).replace(" ", "-") for title in sections] == anchors
    assert (len(TABLES), len(PICTURES)) == (len(sections), len(sections))


@pytest.mark.parametrize("words", PICTURES, ids=[name for _, name in PICTURES])
def test_a_picture_can_be_read(words: tuple[str, str]) -> None:
    """It is small, it is SVG without scripts or links, and has a title for those who do not see it."""
    text = (ROOT / "docs" / words[1]).read_text()
    root = ET.fromstring(text)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert (names - {"svg", "title", "defs", "marker", "path", "rect", "line", "text"}, len(text) < 5000) == (
        set(),
        True,
    )
    assert root.findtext("{http://www.w3.org/2000/svg}title")
