# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of the journal's tail, as JSON and packets."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from btcore.journal import Entry
from btcore.sqlite_journal.tables.entries import with_offset
from btcore.sqlite_journal.tables.records import encode_entries

TEXTS = st.text(max_size=8)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
ENTRIES = st.builds(
    Entry, NUMBERS, TEXTS, TEXTS, TEXTS, st.binary(max_size=20), st.booleans(), NUMBERS, NUMBERS, NUMBERS, TEXTS, TEXTS
)


@given(st.lists(ENTRIES, min_size=1, max_size=4), NUMBERS)
def test_the_record_of_entries_is_what_json_makes_of_them(entries: Sequence[Entry], added: int) -> None:
    """Whatever the texts and numbers of entries are, their record is that of the plain way."""
    rows = [
        [
            *(one.offset, len(one.raw), one.key, one.source, one.serial, one.format, one.packetless),
            *(one.monotonic, one.boot, one.address, one.origin),
        ]
        for one in entries
    ]
    plain = json.dumps({"entries": rows, "added": added}, separators=(",", ":"), ensure_ascii=False)
    expected = plain.encode("utf-8", "surrogatepass") + b"\n" + b"".join(one.raw for one in entries)
    assert encode_entries(entries, added) == expected


@given(ENTRIES, NUMBERS)
def test_an_entry_that_was_given_its_offset_is_the_same_but_for_that(entry: Entry, offset: int) -> None:
    """It is equal to one that is made with that offset."""
    fields = (entry.key, entry.source, entry.serial, entry.format, entry.raw, entry.packetless)
    expected = Entry(*fields, offset, entry.monotonic, entry.boot, entry.address, entry.origin)
    found = with_offset(entry, offset)
    assert type(found) is Entry
    assert found == expected
    assert hash(found) == hash(expected)
    assert repr(found) == repr(expected)
