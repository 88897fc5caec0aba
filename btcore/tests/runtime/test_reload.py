# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that takes another configuration: what changed is restarted, the rest goes on, and nothing is lost."""

import logging
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from helpers.fake_plugins import IteratorSource, OneMeterSink, RecordingSink
from helpers.packets import METER, packet
from helpers.reloaded_run import Run, is_listening
from helpers.sites import endless_source, make_sink, make_site, make_source, stored_offset

from btcore import Batch, Chunk, Stop
from btcore.config.meters import Meter, Meters
from btcore.config.metrics import MetricsSettings
from btcore.config.site import Site
from btcore.control.client import ask_once
from btcore.errors import ConfigurationError, Problem, Unavailable
from btcore.journal import Journal
from btcore.runtime import reload, supervisor
from btcore.testing import free_port, wait_for
from btcore.testing.kit.waiting import in_background
from btcore.workers.factory import WorkerFactory


def delivered(sink: RecordingSink) -> Callable[[], bool]:
    """Return whether a sink has had something more than now."""
    before = len(sink.taken)
    return lambda: len(sink.taken) > before


def test_a_changed_sink_continues_where_it_was(tmp_path: Path) -> None:
    """The old sink is closed, the new one is opened and has what comes after: no reading twice, none missing."""
    source = make_source(endless_source())
    old, new, other = RecordingSink(), RecordingSink(), RecordingSink()
    with Run(make_site(tmp_path, source, make_sink(old), make_sink(other, "other"))) as run:
        wait_for(delivered(old))
        answer = run.reload(make_site(tmp_path, source, make_sink(new, batch_size=3), make_sink(other, "other")))
        assert (answer["reloaded"], answer["changes"]) == (True, ["sink.roof: restarted (batch_size)"])
        wait_for(delivered(new))
    assert (len(old.closed), len(new.opened), len(other.opened)) == (1, 1, 1)
    assert [*old.offsets, *new.offsets] == list(range(1, stored_offset(tmp_path) + 1))


def test_the_call_under_way_is_finished_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A changed sink has its call finished and committed before the new one is opened; the answer waits for it."""
    calling, release = threading.Event(), threading.Event()

    def answer(_batch: Batch) -> None:
        calling.set()
        release.wait(60)

    caplog.set_level(logging.INFO)
    source, old, new = make_source(endless_source()), RecordingSink(answer=answer), RecordingSink()
    with Run(make_site(tmp_path, source, make_sink(old, batch_size=4))) as run:
        assert calling.wait(60)
        run.site = make_site(tmp_path, source, make_sink(new, batch_size=5))
        request = run.reloads.put()
        wait_for(lambda: "sink.roof: restarted (batch_size)" in caplog.messages)
        assert new.opened == []
        release.set()
        assert "pending" not in request.wait(60)
        wait_for(delivered(new))
    assert (len(old.taken), new.offsets[0]) == (1, old.offsets[-1] + 1)


def test_a_sink_that_hangs_delays_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After the patience the answer names it; it changes when its call returns."""
    calling, release = threading.Event(), threading.Event()

    def answer(_batch: Batch) -> None:
        calling.set()
        release.wait(60)

    source, old, new, added = (
        make_source(endless_source()),
        RecordingSink(answer=answer),
        RecordingSink(),
        RecordingSink(),
    )
    with Run(make_site(tmp_path, source, make_sink(old)), patience=0.5) as run:
        assert calling.wait(60)
        answered = run.reload(make_site(tmp_path, source, make_sink(new, batch_size=5), make_sink(added, "added")))
        assert answered["pending"] == ["sink.roof: its call under way has not ended; it changes when it has"]
        wait_for(delivered(added))
        assert new.opened == []
        release.set()
        wait_for(delivered(new))
    assert "sink.roof: its call under way has not ended; it changes when it has" in caplog.messages


def test_a_changed_source_is_closed_before_it_is_opened_again(tmp_path: Path) -> None:
    """Two never have one line: the new one is opened when the old one is closed. What it had is in the journal."""
    events: list[str] = []

    def source(name: str) -> IteratorSource:
        def items(stop: threading.Event) -> Iterator[Chunk]:
            events.append(f"{name} opened")
            count = 0
            while not stop.wait(0.01):
                yield Chunk(packet(secs=count))
                count += 1
            events.append(f"{name} closed")

        return IteratorSource(items=items)

    roof = RecordingSink()
    with Run(make_site(tmp_path, make_source(source("old")), make_sink(roof))) as run:
        wait_for(delivered(roof))
        answer = run.reload(make_site(tmp_path, make_source(source("new"), max_new_meters_per_day=7), make_sink(roof)))
        assert answer["changes"] == ["source.panel: restarted (max_new_meters_per_day)"]
        wait_for(lambda: "new opened" in events)
        wait_for(delivered(roof))
    assert events == ["old opened", "old closed", "new opened", "new closed"]


def test_a_mistake_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each mistake is logged; the configuration that runs stays in use, and the next reload may be right."""
    roof = RecordingSink()
    with Run(make_site(tmp_path, make_source(endless_source()), make_sink(roof))) as run:
        wait_for(delivered(roof))
        problems = [Problem("expected a number", key="port", table="source.panel", line=3), Problem("no")]
        run.error = ConfigurationError(problems)
        assert run.reload() == {"reloaded": False, "problems": [str(problem) for problem in problems]}
        run.error = Unavailable("the disk is gone")
        assert run.reload() == {"reloaded": False, "problems": ["the disk is gone"]}
        run.error = ZeroDivisionError("x")
        assert not run.reload()["reloaded"]
        wait_for(delivered(roof))
        run.error = None
        assert run.reload()["changes"] == ["nothing has changed"]
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors[:3] == [*map(str, problems), "the configuration that runs stays in use"]
    assert len(roof.opened) == 1


def test_a_sink_that_had_stopped_is_started_again(tmp_path: Path) -> None:
    """A reload is the restart that it waits for, even with the same settings."""
    refused = threading.Event()

    def answer(_batch: Batch) -> None:
        if not refused.is_set():
            refused.set()
            raise Stop("the key is wrong")

    source, roof, other = make_source(endless_source()), RecordingSink(answer=answer), RecordingSink()
    with Run(make_site(tmp_path, source, make_sink(roof), make_sink(other, "other"))) as run:
        wait_for(lambda: is_listening(tmp_path))
        wait_for(lambda: "stopped" in [one["state"] for one in ask_once(tmp_path, "status")["status"]["sinks"]])
        assert run.reload()["changes"] == ["sink.roof: restarted (it had stopped)"]
        wait_for(delivered(roof))
    assert len(other.opened) == 1


def test_names_of_meters_change_for_all(tmp_path: Path) -> None:
    """With another [meters] the sources and sinks are restarted, and call the meter by its new name from then on."""
    old, new = RecordingSink(), RecordingSink()
    with Run(make_site(tmp_path, make_source(endless_source()), make_sink(old))) as run:
        wait_for(delivered(old))
        meters = Meters([Meter("house", "house", frozenset([METER]), "", "")])
        run.reload(make_site(tmp_path, make_source(endless_source()), make_sink(new), meters=meters))
        wait_for(delivered(new))
    assert {reading.serial for batch in new.taken for reading in batch.readings} == {"house"}


def test_clocks_are_kept_as_soon_as_a_source_is_to(tmp_path: Path) -> None:
    """A site without `sync_clock` has no thread for the clocks of meters; one that gets it has one from then on."""

    def threads() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name == "clocks of meters"}

    source, sink, before = endless_source(), RecordingSink(), threads()
    with Run(make_site(tmp_path, make_source(source), make_sink(sink))) as run:
        wait_for(delivered(sink))
        assert threads() <= before
        assert run.reload(make_site(tmp_path, make_source(source, sync_clock=True), make_sink(sink)))["reloaded"]
        assert len(threads() - before) == 1


def test_what_is_served_goes_on(tmp_path: Path) -> None:
    """`status` and the port of [metrics] answer during reloads, with what is in use; the port may change."""
    first, second = free_port(), free_port()
    source, roof = make_source(endless_source()), make_sink(RecordingSink())
    over, failures = threading.Event(), []

    def ask() -> None:
        while not over.wait(0.01):
            try:
                if not ask_once(tmp_path, "status")["status"]["sinks"]:
                    failures.append("no sinks")
            except Unavailable as error:
                failures.append(str(error))

    site = make_site(tmp_path, source, roof, metrics=MetricsSettings(f"127.0.0.1:{first}"))
    with Run(site) as run:
        wait_for(lambda: is_listening(tmp_path))
        with in_background(over, ask):
            for number in range(5):
                run.reload(attrs.evolve(site, sinks=(make_sink(RecordingSink(), batch_size=number + 1),)))
            assert run.reload(attrs.evolve(run.site, metrics=MetricsSettings(f"127.0.0.1:{second}")))["reloaded"]
            with urllib.request.urlopen(f"http://127.0.0.1:{second}/health", timeout=20) as page:
                assert page.status == 200
            with pytest.raises(OSError, match="refused"):
                urllib.request.urlopen(f"http://127.0.0.1:{first}/health", timeout=20)
    assert failures == []


def test_a_port_of_metrics_that_cannot_be_had_changes_nothing(tmp_path: Path) -> None:
    """The reload is refused, and says why; the port before and the configuration before stay in use."""
    first = free_port()
    source, roof = make_source(endless_source()), RecordingSink()
    site = make_site(tmp_path, source, make_sink(roof), metrics=MetricsSettings(f"127.0.0.1:{first}"))
    with socket.create_server(("127.0.0.1", 0)) as other, Run(site) as run:
        taken = other.getsockname()[1]
        wait_for(delivered(roof))
        new = attrs.evolve(
            site, metrics=MetricsSettings(f"127.0.0.1:{taken}"), sinks=(make_sink(RecordingSink(), "x"),)
        )
        answer = run.reload(new)
        assert (answer["reloaded"], answer["problems"]) == (
            False,
            [f"[metrics] cannot listen on 127.0.0.1:{taken}: Address already in use"],
        )
        wait_for(delivered(roof))
        with urllib.request.urlopen(f"http://127.0.0.1:{first}/health", timeout=20) as page:
            assert page.status == 200
        assert run.reload(attrs.evolve(site, metrics=MetricsSettings(f"0.0.0.0:{first}")))["reloaded"]
        with urllib.request.urlopen(f"http://127.0.0.1:{first}/health", timeout=20) as page:
            assert page.status == 200
    assert len(roof.opened) == 1


def test_a_port_that_could_not_be_had_at_the_start_is_tried_again(tmp_path: Path) -> None:
    """Each reload says that the site runs without it, until it is free; nothing else is refused for it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        site = make_site(
            tmp_path, make_source(endless_source()), make_sink(RecordingSink()), metrics=MetricsSettings(address)
        )
        with Run(site) as run:
            told = [f"[metrics] cannot listen on {address}: Address already in use; running without it"]
            assert run.reload()["warnings"] == told
            other.close()
            assert run.reload()["warnings"] == []
            with urllib.request.urlopen(f"http://{address}/health", timeout=20) as page:
                assert page.status == 200


def test_a_configuration_that_cannot_be_read_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that waits for a pipe or a disk is refused after its time; the next one reads anew, if not for ever."""
    monkeypatch.setattr(reload, "LOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(reload, "MAX_HANGING", 2)
    roof, readable = RecordingSink(), threading.Event()
    site = make_site(tmp_path, make_source(endless_source()), make_sink(roof))
    with Run(site) as run:
        wait_for(delivered(roof))
        run.wait_before_loading = readable
        for _ in range(3):
            answer = run.reload()
            assert (answer["reloaded"], "was not read within" in answer["problems"][0]) == (False, True)
        assert run.loads == 2
        wait_for(delivered(roof))
        assert ask_once(tmp_path, "status")["status"]["running"]
        readable.set()
        run.wait_before_loading = None
        wait_for(lambda: run.reload()["reloaded"])


def test_what_takes_a_restart_is_told_each_time(tmp_path: Path) -> None:
    """The journal stays where it is; each reload tells that the new setting is not in use."""
    source, roof = make_source(endless_source()), make_sink(RecordingSink())
    with Run(make_site(tmp_path, source, roof)) as run:
        for _ in range(2):
            answer = run.reload(make_site(tmp_path, source, roof, max_journal_bytes=7))
            assert answer["warnings"] == ["max_journal_bytes: the new value is used after a restart"]


def test_it_can_stop_while_it_changes(tmp_path: Path) -> None:
    """A stop in the midst of a reload ends what runs, and starts nothing."""
    calling, release = threading.Event(), threading.Event()

    def answer(_batch: Batch) -> None:
        calling.set()
        release.wait(60)

    source, old, new = make_source(endless_source()), RecordingSink(answer=answer), RecordingSink()
    with Run(make_site(tmp_path, source, make_sink(old))) as run:
        assert calling.wait(60)
        run.site = make_site(tmp_path, source, make_sink(new, batch_size=5))
        run.reloads.put()
        wait_for(lambda: not run.reloads._waiting.qsize())
        run.stop.set()
        release.set()
    assert (run.well, new.opened) == (True, [])


def test_a_new_setting_of_a_plugin_is_used(tmp_path: Path) -> None:
    """The instance of the new configuration is the one that is called."""
    source, old, new = make_source(endless_source()), OneMeterSink(node="other"), OneMeterSink(node="house")
    with Run(make_site(tmp_path, source, make_sink(old))) as run:
        wait_for(lambda: old.calls)
        assert run.reload(make_site(tmp_path, source, make_sink(new)))["changes"] == ["sink.roof: restarted (node)"]
        wait_for(lambda: new.taken)


def test_a_journal_that_cannot_be_read_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the names of meters cannot be read for another [meters], the old configuration stays in use."""
    source, roof = make_source(endless_source()), RecordingSink()
    site = make_site(tmp_path, source, make_sink(roof))
    meters = Meters([Meter("house", "house", frozenset([METER]), "", "")])
    with Run(site) as run:
        wait_for(delivered(roof))
        with monkeypatch.context() as patch:
            patch.setattr(WorkerFactory, "restore_identities", unavailable)
            answer = run.reload(attrs.evolve(site, meters=meters))
        assert answer == {"reloaded": False, "problems": ["the disk is gone"]}
        assert len(run.reload()["changes"]) == 2


def unavailable(_factory: object) -> None:
    """Raise what a journal does that cannot be read."""
    raise Unavailable("the disk is gone")


def test_a_command_waits_for_a_program_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal is opened, which may take long, `status` waits, and is then answered by the program."""
    opening, opened = threading.Event(), threading.Event()

    def slow(site: Site) -> Journal:
        opening.set()
        opened.wait(60)
        return open_site_journal(site)

    open_site_journal = supervisor.open_site_journal
    monkeypatch.setattr(supervisor, "open_site_journal", slow)
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(ask_once(tmp_path, "status")))
    with Run(make_site(tmp_path, make_source(endless_source()), make_sink(RecordingSink()))):
        assert opening.wait(60)
        asking.start()
        opened.set()
        asking.join(60)
    assert answers[0]["status"]["running"]
