# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's settings: a text at the top level, or a table."""

import pytest
from helpers.config_plugins import MINIMAL_SITE, Load, problems_of


@pytest.mark.parametrize(
    ("text", "journal", "sync"),
    [
        ("", "sqlite", "normal"),
        ('journal = "memory"\n', "memory", "normal"),
        ('[journal]\nsync = "always"\n', "sqlite", "always"),
        ('[journal]\nuse = "memory"\n', "memory", "normal"),
    ],
)
def test_a_journal_is_a_text_or_a_table(load: Load, text: str, journal: str, sync: str) -> None:
    """What is left out has its default."""
    site = load(text + MINIMAL_SITE)
    assert (site.journal, site.sync) == (journal, sync)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('[journal]\nuse = "nowhere"\n', 2, "use"),
        ('[journal]\nsync = "sometimes"\n', 2, "sync"),
        ('[journal]\nsink = "always"\n', 2, "sink"),
        ("journal = 7\n", 1, "journal"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_line(load: Load, text: str, line: int, key: str) -> None:
    """In the table as at the top level."""
    (problem,) = problems_of(load, text + MINIMAL_SITE)
    assert (problem.line, problem.key) == (line, key)


def test_the_secret_of_a_url_in_the_table_is_in_no_message(load: Load) -> None:
    """As it is in none where the URL is at the top level."""
    (problem,) = problems_of(load, '[journal]\nuse = "kafka://me:Passw0rd@host"\n' + MINIMAL_SITE)
    assert "Passw0rd" not in str(problem)
