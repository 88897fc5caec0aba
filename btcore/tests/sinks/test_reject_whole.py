# SPDX-License-Identifier: GPL-3.0-or-later
"""`Reject(whole_batch=True)`: what a sink says of a whole batch is believed at once."""

from collections.abc import Callable

import attrs
import pytest
from helpers.running_sink import SINK_TABLE, deliver_all, mark_accepted

from btcore import Batch, Reject, hookimpl, pack, plugin
from btcore.journal import Entry, Journal

COUNT, SIZE = 30, 10


@plugin(api=1)
class Choosy:
    """Refuses a batch that holds any of the first so many readings; as a whole, if it can tell, where that is so."""

    refused: int
    tells: bool
    calls: list[list[int]] = attrs.field(factory=list)
    taken: list[int] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        """Take it, or not."""
        places = [reading.offset for reading in batch.readings]
        self.calls.append(places)
        if min(places) <= self.refused:
            raise Reject("too old", whole_batch=self.tells and max(places) <= self.refused)
        self.taken += places


@pytest.fixture
def journal(journal: Journal) -> Journal:
    """Keep some readings of one meter."""
    packets = (pack("ecm1220bin", "312345", {"secs": second}) for second in range(1, COUNT + 1))
    journal.append([Entry(second * 1_000_000, "", "312345", "ecm1220bin", raw) for second, raw in enumerate(packets)])
    return journal


Deliver = Callable[..., Choosy]


@pytest.fixture
def deliver(journal: Journal) -> Deliver:
    """Let a sink that refuses so many have all there is."""

    def run(refused: int, *, tells: bool = True) -> Choosy:
        sink = Choosy(refused=refused, tells=tells)
        assert deliver_all(journal, sink, batch_size=SIZE).worker.stop_reason == ""
        return sink

    return run


def test_a_batch_of_which_no_part_is_taken_costs_one_call(deliver: Deliver, journal: Journal) -> None:
    """All of it is set aside with its reason, the cursor moves on, and what follows is delivered."""
    sink = deliver(2 * SIZE)
    assert [len(places) for places in sink.calls] == [SIZE] * 3
    assert sink.taken == list(range(2 * SIZE + 1, COUNT + 1))
    assert [(one.why, one.entries[-1]) for one in journal.dead_letters()] == [
        ("too old", n + 1) for n in range(2 * SIZE)
    ]
    cursor = journal.checkpoint(SINK_TABLE)
    assert cursor is not None
    assert cursor.offset == COUNT


def test_it_is_told_in_one_line_that_says_how_many(deliver: Deliver, caplog: pytest.LogCaptureFixture) -> None:
    """A backlog of months does not fill the log with a line for each row."""
    deliver(SIZE)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "10 readings became dead letters, until 1970-01-01 00:00:09+00:00: too old"
    ]


def test_a_part_of_a_halved_batch_may_be_refused_as_a_whole_too(deliver: Deliver) -> None:
    """Where the boundary lies within a batch, it is halved, and only as far as parts of it are in doubt."""
    sink = deliver(SIZE + 5)
    assert [(places[0], places[-1]) for places in sink.calls] == [(1, 10), (11, 20), (11, 15), (16, 20), (21, 30)]
    assert sink.taken == list(range(SIZE + 6, COUNT + 1))


def test_a_sink_that_cannot_tell_is_asked_for_each_row(deliver: Deliver, journal: Journal) -> None:
    """Without `whole_batch` a batch is halved until what is refused stands alone: ten rows cost nineteen calls."""
    mark_accepted(journal, Choosy(refused=0, tells=False), SINK_TABLE)
    sink = deliver(SIZE, tells=False)
    assert len(sink.calls) == 19 + 2
    assert sink.taken == list(range(SIZE + 1, COUNT + 1))
