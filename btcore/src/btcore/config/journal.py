# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [journal]: where readings are kept, and when they are on the disk.

A top-level `journal = "..."` is short for a table with `use` alone, and is read with the rest of the top level.
"""

from collections.abc import Mapping

import attrs

from btcore.config.tables import Reader
from btcore.journal.opening import DEFAULT, Sync, check_journal, describe_url
from btcore.values.describe import settings_of

KEY = "journal"


@attrs.frozen
class JournalSettings:
    """The settings of [journal]."""

    use: str = attrs.field(
        default=DEFAULT,
        repr=describe_url,
        validator=check_journal,
        metadata={"help": "where readings are kept: the name of a journal, or its URL (sqlite:////DIRECTORY/FILE)"},
    )
    sync: Sync = attrs.field(
        default="normal",
        metadata={
            "help": "normal: a power cut costs the readings of about the last half minute; always: each reading is on"
            " the disk before anything is done with it, which wears out an SD card"
        },
    )


def journal_url(data: Mapping[str, object]) -> str:
    """Return the URL that a configuration has, whatever else is wrong with it."""
    table = data.get(KEY, "")
    return str(table.get("use", "") if isinstance(table, dict) else table)


def read_journal(table: Mapping[str, object], reader: Reader) -> JournalSettings:
    """Return the settings of a table [journal]; report what is wrong with them."""
    known = settings_of(JournalSettings)
    reader.unknown(table, [entry.name for entry in known], (KEY,), ())
    return JournalSettings(**reader.settings(known, table, (KEY,)))
