# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in a sink's settings, and their mending, against what the right settings would have delivered all along.

Whatever comes in, however often the settings are wrong, and the worker is started, stopped or killed: in the end, all
that the right settings want has arrived, at least once and in order, but what was let go for its age.
"""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from unittest.mock import patch

import attrs
from helpers.fake_plugins import OneMeterSink
from helpers.journal_entries import entry
from helpers.packets import METER
from helpers.property_tests import examples
from helpers.running_sink import SINK_TABLE, RunningSink, deliver_all
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from btcore import Batch, Retry, hookimpl, plugin
from btcore.errors import Unavailable
from btcore.journal import Checkpoint
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.testing import wait_for
from btcore.testing.journal_entries import forget

METERS = (METER, "420467", "401234")

Span = tuple[int, int]


@plugin(api=1)
class Failing(OneMeterSink):
    """A sink whose next calls end as `fate` says: before anything was sent, or after all of it was."""

    fate: list[str] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what is wanted, if nothing is in the way."""
        end = self.fate.pop() if self.fate else ""
        if end == "down":
            raise Retry("later")
        wanted: int = OneMeterSink.process_batch(self, batch)
        if end == "lost":
            raise Retry("no answer")
        return wanted


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "serial": ({"meter": "399999"}, {}),
    "meters": ({"meter": METER}, {"meters": ("0312345",)}),
    "node": ({"meter": METER, "node": "shed"}, {}),
}
"""Settings of the plugin and of the core."""


class Mistaken(RuleBasedStateMachine):
    """A journal, and one sink that is to be sent all of one meter."""

    interval: int

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.journal = SqliteJournal(Path(self.folder.name) / "journal.db")
        self.now = 0
        self.counted = 0
        self.readings: list[int] = []
        self.spans: list[Span] = []
        self.gone: set[int] = set()

    @initialize(interval=st.sampled_from([0, 60]))
    def begin(self, interval: int) -> None:
        """Choose what the sink is given; let both kinds of meters send something."""
        self.interval = interval
        for serial in METERS:
            self.measure(serial, 4, 0)

    @rule(serial=st.sampled_from((METER, *METERS)), count=st.integers(3, 9), pause=st.sampled_from([0, 0, 300]))
    def measure(self, serial: str, count: int, pause: int) -> None:
        """Let a meter send some packets, one after another."""
        self.now += pause
        for _ in range(count):
            self.now += 10
            (kept,) = self.journal.append([entry(self.now, serial, energy=100 * self.now)]).kept
            if serial == METER:
                self.readings.append(kept.offset)

    fates = st.lists(st.sampled_from(["", "down", "lost"]), max_size=4)
    sizes = st.integers(1, 12)

    @rule(fate=fates, size=sizes)
    def run(self, fate: list[str], size: int) -> None:
        """Run with the right settings until all is delivered."""
        sink = Failing(meter=METER, fate=fate)
        work = deliver_all(self.journal, sink, interval=self.interval, batch_size=size)
        assert work.worker.stop_reason == ""
        self.spans += sink.spans

    @rule(mistake=st.sampled_from(sorted(MISTAKES)), size=sizes)
    def err(self, mistake: str, size: int) -> None:
        """Run with wrong settings."""
        own, core = MISTAKES[mistake]
        sink = OneMeterSink(**own)
        deliver_all(self.journal, sink, interval=self.interval, batch_size=size, **core)
        assert sink.taken == []

    @rule(mistake=st.sampled_from(["", *sorted(MISTAKES)]), fate=fates, size=sizes, commits=st.integers(0, 4))
    def crash(self, mistake: str, fate: list[str], size: int, commits: int) -> None:
        """Run, and be killed after some commits."""
        own, core = MISTAKES[mistake] if mistake else ({"meter": METER}, {})
        sink, killed, left = Failing(**own, fate=fate), Event(), [commits]
        commit = self.journal.commit

        def die(*given: Any, **named: Any) -> Checkpoint:  # noqa: ANN401 - whatever the journal is given
            if not left[0]:
                killed.set()
                raise Unavailable("killed")
            left[0] -= 1
            return commit(*given, **named)

        with (
            patch.object(self.journal, "commit", die),
            RunningSink(self.journal, sink, settings={"interval": self.interval, "batch_size": size, **core}) as work,
        ):
            work.drain.set()
            self.journal.wake()
            wait_for(lambda: killed.is_set() or not work.worker.thread.is_alive())
        self.spans += sink.spans

    @rule()
    def trim(self) -> None:
        """Let go of all that the sink has looked at, as if it were old."""
        before = {one.offset for one in self.journal.read(0, 10_000)}
        forget(self.journal, [SINK_TABLE])
        self.gone |= before - {one.offset for one in self.journal.read(0, 10_000)}

    @rule()
    def check(self) -> None:
        """With the right settings, all that is wanted arrives, and nothing was set aside."""
        self.run([], 5)
        assert self.journal.dead_letters() == []
        pairs = list(zip(self.readings, self.readings[1:], strict=False))
        arrived = [pair for pair in pairs if any(older <= pair[0] and pair[1] <= newer for older, newer in self.spans)]
        assert {pair for pair in pairs if self.gone.isdisjoint(pair)} <= set(arrived)
        if not self.interval and not self.gone:
            first = list(dict.fromkeys(self.spans))
            assert first == pairs

    def teardown(self) -> None:
        """See that all arrived in the end, and remove the journal."""
        with closing(self.journal):
            if hasattr(self, "interval"):
                self.check()
        self.folder.cleanup()


TestMistaken = Mistaken.TestCase
TestMistaken.settings = settings(max_examples=examples(40), stateful_step_count=15, deadline=None)
