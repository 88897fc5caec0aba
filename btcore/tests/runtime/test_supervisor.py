# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a site: from the lock on its state to the last commit, whatever stops it."""

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.packets import METER, packet
from helpers.sites import endless_source, finite_source, make_sink, make_site, make_source, stored_offset

from btcore import Chunk, Duration, Retry, Stop, hookimpl, pack, plugin
from btcore.config.site import Site
from btcore.errors import ConfigurationError, Unavailable
from btcore.journal import Baseline, Checkpoint, Journal
from btcore.journal.opening import DEFAULT, Sync, open_journal
from btcore.records import from_microseconds
from btcore.runtime import state_directory
from btcore.runtime.supervisor import POLL_INTERVAL, POLL_INTERVAL_ONCE, Supervisor
from btcore.sqlite_journal.files.place import FILE_NAME
from btcore.sqlite_journal.journal import SqliteJournal
from btcore.sqlite_journal.tables.schema import VERSION
from btcore.testing import wait_for
from btcore.testing.kit.waiting import in_background


def texts(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return what was told at a level and above, with who told it."""
    return [f"{record.name}: {record.getMessage()}" for record in caplog.records if record.levelno >= level]


class Running:
    """A supervisor in a thread of its own."""

    def __init__(self, site: Site, **options: Any) -> None:  # noqa: ANN401 - of any kind
        self.stop = threading.Event()
        self.well: bool | None = None
        self._supervisor = Supervisor(site, self.stop, **options)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.well = self._supervisor.run()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


class Waits(threading.Event):
    """A stop that takes note of the seconds for which the thread that made it waits."""

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.seconds: list[float | None] = []
        self._watched = threading.current_thread()

    def wait(self, timeout: float | None = None) -> bool:
        """Take note, and wait."""
        if threading.current_thread() is self._watched:
            self.seconds.append(timeout)
        return super().wait(timeout)


@pytest.mark.parametrize(("once", "seconds"), [(True, POLL_INTERVAL_ONCE), (False, POLL_INTERVAL)])
def test_between_two_looks_is_a_wait(tmp_path: Path, once: bool, seconds: float) -> None:
    """A run looks after its sources and sinks now and then, and waits in between."""
    stop = Waits()

    def items(_stop: threading.Event) -> Iterator[Chunk]:
        yield Chunk(packet())
        try:
            wait_for(lambda: seconds in stop.seconds, patience=20)
        finally:
            if not (once and stop.seconds):
                stop.set()

    parts = make_source(IteratorSource(items=items)), make_sink(RecordingSink())
    assert Supervisor(make_site(tmp_path, *parts), stop, once=once).run()
    assert {seconds} <= set(stop.seconds) <= {POLL_INTERVAL_ONCE, seconds}


# --- once


def test_once_ends_when_everything_is_delivered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With `once` it ends when all sources have ended and all sinks have had everything, and tells what was done."""
    caplog.set_level(logging.INFO)
    first, second = RecordingSink(), RecordingSink()
    parts = (
        make_source(finite_source(7)),
        make_source(finite_source(0), "other"),
        make_sink(first),
        make_sink(second, "second", interval=60),
    )
    assert Supervisor(make_site(tmp_path, *parts), threading.Event(), once=True).run()
    assert (len(first.offsets), stored_offset(tmp_path), stored_offset(tmp_path, "sink.second")) == (7, 7, 7)
    assert [sample.seconds for batch in second.taken for sample in batch.samples] == [60]
    told = texts(caplog, logging.INFO)
    assert told[0] == f"btcore: 2 sources, 2 sinks; the journal is in {tmp_path / FILE_NAME}"
    assert told[-4:] == [
        "btcore: source.panel: 7 packets, 0 junk bytes, 0 damaged packets; 7 kept",
        "btcore: source.other: 0 packets, 0 junk bytes, 0 damaged packets; 0 kept",
        "btcore: sink.roof: 7 readings delivered, 0 dead letters",
        "btcore: sink.second: 1 reading delivered, 0 dead letters",
    ]


def test_the_last_line_of_a_source_tells_what_was_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A recording that is played again: nothing is kept, and all of it was there."""
    caplog.set_level(logging.INFO)
    recording = IteratorSource(
        items=lambda _stop: [Chunk(packet(secs=n), time=from_microseconds(n * 10**7)) for n in range(3)]
    )
    for _ in range(2):
        Supervisor(
            make_site(tmp_path, make_source(recording), make_sink(RecordingSink())), threading.Event(), once=True
        ).run()
    assert [text.rpartition("; ")[2] for text in texts(caplog, logging.INFO) if "btcore: source.panel: " in text] == [
        "3 kept",
        "0 kept, 3 already there",
    ]


def test_once_waits_for_a_sink_that_is_down_for_a_while(tmp_path: Path) -> None:
    """A sink that fails and recovers gets everything before the end."""
    failures = [Retry("down")] * 5

    def answer(_batch: object) -> None:
        if failures:
            raise failures.pop()

    roof = RecordingSink(answer=answer)
    assert Supervisor(
        make_site(tmp_path, make_source(finite_source()), make_sink(roof)), threading.Event(), once=True
    ).run()
    assert len(roof.offsets) == 5


@pytest.mark.parametrize("trouble", ["source", "sink"])
def test_what_was_given_up_is_told_by_the_outcome(tmp_path: Path, trouble: str) -> None:
    """When a source was given up or a sink parked, the others are served, and the run does not count as good."""

    def fail(*_: object) -> Any:  # noqa: ANN401 - never returns
        raise Stop("a person must act")

    other = RecordingSink()
    bad = (
        make_source(IteratorSource(items=fail), "bad")
        if trouble == "source"
        else make_sink(RecordingSink(answer=fail), "bad")
    )
    parts = (make_source(finite_source()), make_sink(other, "other"), bad)
    assert not Supervisor(make_site(tmp_path, *parts), threading.Event(), once=True).run()
    assert len(other.offsets) == 5


def test_a_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """What was delivered once is not delivered again by the next run."""
    roof = RecordingSink()
    for _ in range(3):
        assert Supervisor(
            make_site(tmp_path, make_source(finite_source(3)), make_sink(roof)), threading.Event(), once=True
        ).run()
    assert roof.offsets == list(range(1, 10))


def test_it_ends_when_nothing_is_left_to_do(tmp_path: Path) -> None:
    """Without `once` too: where every source has ended and every sink is parked, it does not idle for ever."""

    def fail(*_: object) -> None:
        raise Stop("a person must act")

    parts = (make_source(finite_source()), make_sink(RecordingSink(answer=fail)))
    assert not Supervisor(make_site(tmp_path, *parts), threading.Event()).run()


def test_a_dry_run_delivers_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run keeps the readings, shows what it would send without secrets, and moves no cursor."""

    @plugin(api=1)
    class Previewing(RecordingSink):
        @hookimpl
        def preview_batch(self) -> list[str]:
            return ["POST s3cret"]

    roof = Previewing()
    run = Supervisor(
        make_site(tmp_path, make_source(finite_source()), make_sink(roof)),
        threading.Event(),
        once=True,
        dry_run=True,
        redact=lambda text: text.replace("s3cret", "***"),
    )
    assert run.run()
    assert (roof.calls, set(capsys.readouterr().out.splitlines())) == ([], {"sink.roof: POST ***"})
    assert stored_offset(tmp_path) == 0
    assert Supervisor(make_site(tmp_path, make_sink(roof)), threading.Event(), once=True).run()
    assert len(roof.offsets) == 5


# --- what the parts are told


def test_sinks_are_told_the_names_the_sign_and_the_interval(tmp_path: Path) -> None:
    """A sink's context has its table, the site's channel names, its own sign or the site's, and its interval."""
    one, two = RecordingSink(), RecordingSink()
    names: Mapping[str, str] = {f"{METER}_ch1": "solar"}
    parts = (make_sink(one, interval=60), make_sink(two, "second", polarity="brultech"))
    Supervisor(make_site(tmp_path, *parts, channels=names, polarity="btmon"), threading.Event(), once=True).run()
    told = [
        (context.name, context.channels, context.polarity, context.interval, context.log.name)
        for context in (*one.opened, *two.opened)
    ]
    assert told == [
        ("sink.roof", names, "btmon", Duration(60), "sink.roof"),
        ("sink.second", names, "brultech", Duration(0), "sink.second"),
    ]


@pytest.mark.parametrize("once", [False, True])
def test_a_source_is_told_whether_it_runs_once(tmp_path: Path, once: bool) -> None:
    """A source that polls can end a `once` run."""
    source = finite_source()
    site, stop = make_site(tmp_path, make_source(source), make_sink(RecordingSink())), threading.Event()
    with in_background(stop, Supervisor(site, stop, once=once).run):
        wait_for(lambda: source.opened)
    assert [context.once for context in source.opened] == [once]


def test_a_source_may_be_restricted_to_formats(tmp_path: Path) -> None:
    """A source that names formats takes no others, and another source is not restricted by that."""
    data = packet(secs=1) + pack("ecm1240bin", METER, {"secs": 2})
    other = packet(secs=3) + pack("ecm1240bin", METER, {"secs": 4})
    chunks = IteratorSource(items=lambda _stop: [Chunk(data)]), IteratorSource(items=lambda _stop: [Chunk(other)])
    roof = RecordingSink()
    parts = (make_source(chunks[0], formats=("ecm1240bin",)), make_source(chunks[1], "all"), make_sink(roof))
    Supervisor(make_site(tmp_path, *parts), threading.Event(), once=True).run()
    found = [(reading.source, reading.format.name) for batch in roof.taken for reading in batch.readings]
    assert sorted(found) == [("all", "ecm1220bin"), ("all", "ecm1240bin"), ("panel", "ecm1240bin")]


# --- stopping


def test_stopping_finishes_and_commits(tmp_path: Path) -> None:
    """When told to stop, the batch under way is finished and committed, everything is closed, and the lock is free."""
    calling, release = threading.Event(), threading.Event()

    def answer(_batch: object) -> None:
        calling.set()
        release.wait(20)

    roof, panel = RecordingSink(answer=answer), endless_source()
    with Running(make_site(tmp_path, make_source(panel), make_sink(roof))) as running:
        calling.wait(20)
        running.stop.set()
        release.set()
    assert (running.well, len(roof.closed), len(panel.closed)) == (True, 1, 1)
    assert stored_offset(tmp_path) == roof.offsets[-1]
    _is_free(tmp_path)


def _is_free(state: Path) -> None:
    os.close(state_directory.lock(state))


def test_a_hung_sink_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A sink whose call does not return is left after the patience, with what it uses; the others were finished."""
    calling, release = threading.Event(), threading.Event()
    journals: list[Journal] = []

    def answer(_batch: object) -> None:
        calling.set()
        release.wait(20)

    def opened(url: str, state: Path, max_bytes: int, *, must_exist: bool, sync: Sync) -> Journal:
        journals.append(open_journal(url, state, max_bytes, must_exist=must_exist, sync=sync))
        return journals[-1]

    monkeypatch.setattr("btcore.runtime.supervisor.open_journal", opened)
    roof, other = RecordingSink(answer=answer), RecordingSink()
    parts = (make_source(finite_source()), make_sink(roof), make_sink(other, "other"))
    with Running(make_site(tmp_path, *parts), patience=0.1) as running:
        wait_for(lambda: calling.is_set() and len(other.offsets) == 5)
    assert running.well is False
    assert texts(caplog) == [
        "btcore: sink.roof does not stop and is abandoned: the next run delivers again what it did not finish"
    ]
    release.set()
    for thread in threading.enumerate():
        if thread.name == "sink.roof":
            thread.join(20)
    with closing(journals[0]) as journal:
        given = len(roof.offsets)
        cursors = [journal.checkpoint(name) or Checkpoint() for name in ("sink.roof", "sink.other")]
    expected = [(given, {METER: Baseline(given)}), (5, {METER: Baseline(5)})]
    assert [(one.offset, one.baselines) for one in cursors] == expected


# --- the state


def test_one_state_has_one_run(tmp_path: Path) -> None:
    """A second run on the same state is refused, with what to do, and does not disturb the first."""
    roof = RecordingSink()
    with Running(make_site(tmp_path, make_source(endless_source()), make_sink(roof))) as running:
        wait_for(lambda: roof.offsets)
        with pytest.raises(Unavailable, match=f"another btcore is using {tmp_path}: stop it first, or give this one"):
            Supervisor(make_site(tmp_path), threading.Event()).run()
        before = len(roof.offsets)
        wait_for(lambda: len(roof.offsets) > before)
    assert running.well


def test_a_state_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A state directory that cannot be made is named, with the reason and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        Unavailable, match=r"cannot use the state directory .*file/state: .*; set `state` to a directory"
    ):
        Supervisor(make_site(tmp_path / "file" / "state"), threading.Event()).run()


def test_a_file_in_place_of_the_state_directory_is_told(tmp_path: Path) -> None:
    """What is wrong is that it is a file, not that it exists."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"cannot use the state directory .*: it is no directory; set `state`"):
        Supervisor(make_site(tmp_path / "file"), threading.Event()).run()


def test_a_state_that_cannot_be_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks is not taken for another btcore."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(Unavailable, match=r"cannot use the state directory .*: No locks available; set `state`"):
        Supervisor(make_site(tmp_path), threading.Event()).run()


def test_a_journal_that_cannot_be_used_leaves_the_lock_free(tmp_path: Path) -> None:
    """When the journal cannot be opened, the error tells why, and nothing is held."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as later:
        later.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(Unavailable, match="newer btcore"):
        Supervisor(make_site(tmp_path), threading.Event()).run()
    _is_free(tmp_path)


def test_a_run_uses_the_journal_of_its_configuration(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With another journal, nothing is written to the file in the state directory, and the log says where it is."""
    caplog.set_level(logging.INFO)
    roof = RecordingSink()
    site = make_site(tmp_path, make_source(finite_source(3)), make_sink(roof), journal="memory")
    assert Supervisor(site, threading.Event(), once=True).run()
    assert len(roof.offsets) == 3
    assert "btcore: 1 source, 1 sink; the journal is in memory" in texts(caplog, logging.INFO)
    assert not (tmp_path / FILE_NAME).exists()


def test_a_journal_that_the_configuration_describes_wrongly_is_a_mistake_in_it(tmp_path: Path) -> None:
    """What only the journal itself can find is told with the file of the configuration and the setting."""
    site = make_site(tmp_path, make_source(finite_source(3)), make_sink(RecordingSink()), journal="sqlite:///no/x.db")
    with pytest.raises(ConfigurationError, match=r"site\.toml: journal: there is no directory .*/no; an absolute path"):
        Supervisor(site, threading.Event()).run()
    _is_free(tmp_path)


def test_what_was_delivered_is_forgotten_in_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Readings that every sink had, and that were kept for long enough, are cleaned up while it runs."""
    caplog.set_level(logging.DEBUG)
    roof = RecordingSink()
    Supervisor(make_site(tmp_path, make_source(finite_source(9)), make_sink(roof)), threading.Event(), once=True).run()
    for keep, left in ((3600, 9), (-3600, 1)):
        caplog.clear()
        with Running(make_site(tmp_path, make_source(finite_source(0)), make_sink(roof), retention=Duration(keep))):
            wait_for(lambda: any("delivered reading" in text for text in texts(caplog, logging.DEBUG)))
        with closing(open_journal(DEFAULT, tmp_path)) as journal:
            assert len(journal.read(0, 99)) == left


def test_cleaning_up_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal that cannot be cleaned up now is told, and nothing stops for it."""

    def fail(*_: object) -> None:
        raise Unavailable("disk full")

    monkeypatch.setattr(SqliteJournal, "apply_retention", fail)
    roof = RecordingSink()
    with Running(make_site(tmp_path, make_source(endless_source()), make_sink(roof))) as running:
        wait_for(lambda: texts(caplog) == ["btcore: the journal cannot be cleaned up now: disk full"])
        before = len(roof.offsets)
        wait_for(lambda: len(roof.offsets) > before)
    assert running.well
