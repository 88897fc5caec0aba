# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/from-btmon.md: its table has each option of btmon, and what becomes of it."""

import re

from helpers.option_table import PAGE, REMARKS, page_with_table, table

from btmon_migrate.options import OPTIONS, WITHOUT_NAME


def test_the_table_is_up_to_date() -> None:
    """The page has what migrating each option does; `PYTHONPATH=tests python -m helpers.option_table` writes it."""
    assert page_with_table(PAGE.read_text()) == PAGE.read_text()


def test_each_of_the_166_options_has_a_key_or_a_reason() -> None:
    """An option of btmon has a key in a site.toml, or the table says what takes its place or why it is not needed."""
    rows = [re.split(r" *\| *", row)[1:-1] for row in table().splitlines()[2:]]
    assert len(rows) == 166
    assert [name for name, _, key, remark in rows if not key and not remark] == []


def test_each_remark_is_on_an_option() -> None:
    """No remark of the table is on an option that btmon does not have."""
    assert REMARKS.keys() - OPTIONS.keys() - WITHOUT_NAME.keys() == set()
