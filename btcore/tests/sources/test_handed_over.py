# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source hands over: what is no chunk and no reading is told, and costs nothing that came before it."""

from datetime import timedelta

import pytest
from helpers.acme_decoder import FINE, OTHER
from helpers.packets import packet
from helpers.running_source import RunningSource, collect_items
from helpers.times import NOON

from btcore import (
    FORMATS,
    Chunk,
    Reading,
    hookimpl,
    plugin,
)
from btcore.decode.brultech import Brultech
from btcore.journal import Journal


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (None, "yielded None; expected a Chunk, a Reading or a SourceCheckpoint"),
        (5, "yielded an int; expected a Chunk, a Reading or a SourceCheckpoint"),
        ("fe ff", "yielded a str; expected a Chunk, a Reading or a SourceCheckpoint"),
        (b"fe ff", "yielded a bytes; expected a Chunk, a Reading or a SourceCheckpoint"),
        (Chunk, "yielded a type; expected a Chunk, a Reading or a SourceCheckpoint"),
    ],
)
def test_what_a_source_must_not_yield_is_told_and_costs_nothing_before_it(
    journal: Journal, item: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the plugin and what it did; what came before is kept, and the source is started again."""
    whole = Reading(NOON, FINE, "7", b"", numbers=(1, 2))
    work = collect_items(journal, Chunk(packet(), time=NOON), whole, item, Chunk(packet(secs=9)), once=True)
    assert f'the plugin "yielding" {said}' in work.worker.failure
    assert {entry.format for entry in journal.read(0, 99)} == {"ecm1220bin", "fine"}
    assert "AttributeError" not in caplog.text


@pytest.mark.parametrize("returned", [None, 5, b"bytes", "text"])
def test_what_collect_must_not_return_is_told(journal: Journal, returned: object) -> None:
    """A source that returns what is not to be looped over says so, and not what Python says of it."""

    @plugin(api=1)
    class Returning:
        @hookimpl
        def collect(self) -> object:
            return returned

    collecting = RunningSource(journal, Returning(), once=True)
    with collecting:
        collecting.finish()
    assert 'the plugin "yielding" returned ' in collecting.worker.failure
    assert "from collect; expected an iterator" in collecting.worker.failure


def test_a_source_of_whole_readings_may_take_some_formats_only(journal: Journal) -> None:
    """`formats` chooses among readings that came without a packet too."""
    items = [
        Reading(NOON + timedelta(seconds=n), form, "7", b"", numbers=(n, 2)) for n, form in enumerate((FINE, OTHER))
    ]
    collect_items(journal, *items, settings={"formats": ("other",)})
    assert [entry.format for entry in journal.read(0, 99)] == ["other"]


def test_every_format_of_brultech_is_said() -> None:
    """The built-in decoder says which formats it has in the way that any decoder does."""
    assert Brultech.packet_formats == tuple(FORMATS.values())
