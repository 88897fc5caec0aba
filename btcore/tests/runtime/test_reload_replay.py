# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that takes another configuration while a sink is being delivered again what the journal has."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.reloaded_run import Run, is_listening
from helpers.running_sink import fill_journal
from helpers.sites import make_sink, make_site, make_source

from btcore import Batch, Chunk
from btcore.config.site import Sink, Site, Source
from btcore.control.client import ask
from btcore.errors import Unavailable
from btcore.journal.opening import DEFAULT, open_journal
from btcore.replay.requests import Request
from btcore.testing import wait_for


def silent_source() -> Source:
    """Make a source that brings nothing until it is stopped."""

    def items(stop: threading.Event) -> Iterator[Chunk]:
        stop.wait(60)
        yield from ()

    return make_source(IteratorSource(items=items))


class Replayed:
    """A run whose sink is being delivered again what the journal has; `release` lets it go on."""

    COUNT = 100

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun, self.release = threading.Event(), threading.Event()
        self.old, self.new = RecordingSink(answer=self._answer), RecordingSink()
        with closing(open_journal(DEFAULT, folder)) as journal:
            fill_journal(journal, self.COUNT)
        self.answers: list[Any] = []
        self._asking = threading.Thread(target=self._ask)

    def site(self, *sinks: Sink) -> Site:
        """Make a configuration with these sinks."""
        return make_site(self.folder, silent_source(), *sinks)

    def _answer(self, _batch: Batch) -> None:
        if len(self.old.taken) == 3:
            self.begun.set()
            self.release.wait(60)

    def begin(self, run: Run) -> None:
        """Ask for it, once all was delivered, and wait for the midst of it."""
        wait_for(lambda: is_listening(self.folder))
        self._asking.start()
        assert self.begun.wait(60)
        assert run.thread.is_alive()

    def reload_in_the_midst(self, run: Run, site: Site, logged: str, caplog: pytest.LogCaptureFixture) -> None:
        """Take another configuration while it is under way, and let it go on once this was logged."""
        self.begin(run)
        run.site = site
        request = run.reloads.put()
        wait_for(lambda: logged in caplog.messages)
        self.release.set()
        assert request.wait(60)["reloaded"]

    def _ask(self) -> None:
        try:
            self.answers += ask(self.folder, "replay", 60, sink="roof", request=attrs.asdict(Request()))
        except Unavailable as error:
            self.answers.append(error)

    def end(self) -> Any:  # noqa: ANN401 - an answer, or an error
        """Return the last answer."""
        self._asking.join(60)
        return self.answers[-1]


def test_a_replay_goes_on_over_a_reload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sink is restarted in the midst of a replay: each reading is delivered again once, and the command is told."""
    caplog.set_level(logging.INFO)
    replayed = Replayed(tmp_path)
    old, new = make_sink(replayed.old, start_at="end", batch_size=5), make_sink(replayed.new, batch_size=7)
    with Run(replayed.site(old)) as run:
        replayed.reload_in_the_midst(run, replayed.site(new), "sink.roof: restarted (batch_size, start_at)", caplog)
        done = replayed.end()
    assert done["replay"]["finished"]
    assert done["replay"]["delivered"] == replayed.COUNT
    assert [*replayed.old.offsets, *replayed.new.offsets] == list(range(1, replayed.COUNT + 1))
    assert replayed.new.offsets


def test_a_replay_whose_sink_is_removed_says_how_far_it_came(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The command ends with that; where the sink is back, the rest is delivered, and nothing twice."""
    caplog.set_level(logging.INFO)
    replayed = Replayed(tmp_path)
    old, other = make_sink(replayed.old, start_at="end", batch_size=5), make_sink(RecordingSink(), "other")
    with Run(replayed.site(old, other)) as run:
        replayed.reload_in_the_midst(run, replayed.site(other), "sink.roof: removed", caplog)
        told = str(replayed.end())
        given = len(replayed.old.offsets)
        assert re.search(r"\[sink\.roof\] was taken out of the configuration: it came up to \d{4}-", told)
        assert f", {given} delivered; where it is back, the rest is delivered" in told
        run.reload(replayed.site(make_sink(replayed.new, batch_size=7), other))
        wait_for(lambda: len(replayed.new.offsets) >= replayed.COUNT - given)
    assert [*replayed.old.offsets, *replayed.new.offsets] == list(range(1, replayed.COUNT + 1))
