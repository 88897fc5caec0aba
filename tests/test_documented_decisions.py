# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of decisions has each of them, with its title, in their order."""

from pathlib import Path

ROOM = Path(__file__).parents[1] / "docs" / "adr"


def test_the_list_has_every_decision() -> None:
    """A decision that is not listed is not found."""
    listed = [line for line in (ROOM / "README.md").read_text().splitlines() if line.startswith("- ")]
    titles = [(path.name, path.read_text().partition("\n")[0]) for path in sorted(ROOM.glob("0*.md"))]
    expected = [(name, *title.removeprefix("# ").split(". ", 1)) for name, title in titles]
    assert listed == [f"- [{number}]({name}): {title}" for name, number, title in expected]
