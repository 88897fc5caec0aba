# SPDX-License-Identifier: GPL-3.0-or-later
"""A run whose only source or only sink has stopped ends with an error; one that has others left goes on."""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.fake_plugins import IteratorSource, RecordingSink
from helpers.sites import endless_source, finite_source, make_sink, make_site, make_source, stored_offset

from btcore import Retry, Stop
from btcore.config.site import Sink, Source
from btcore.runtime.supervisor import Supervisor
from btcore.testing import wait_for
from btcore.workers.health import DRAIN_TIMEOUT, MAX_REASON, MAX_REASONS, RunHealth


def stopping(*_: object) -> Any:  # noqa: ANN401 - never returns
    """Stop until a restart."""
    raise Stop("the key is wrong")


def down(*_: object) -> Any:  # noqa: ANN401 - never returns
    """Fail for a while."""
    raise Retry("the service is down")


def run(state: Path, *parts: Source | Sink) -> bool:
    """Run until it ends by itself; return whether all went well."""
    return Supervisor(make_site(state, *parts), threading.Event()).run()


def last(caplog: pytest.LogCaptureFixture) -> str:
    """Return the last line of the log, which is an error."""
    record = caplog.records[-1]
    assert record.levelno == logging.ERROR
    return record.getMessage()


def test_it_ends_when_the_only_sink_has_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Though the source works, it ends with an error, and its last line says why; what came in is kept."""
    caplog.set_level(logging.INFO)
    assert not run(tmp_path, make_source(endless_source()), make_sink(RecordingSink(answer=stopping)))
    assert last(caplog) == "ended with an error: all sinks have stopped: sink.roof: the key is wrong"
    roof = RecordingSink()
    assert Supervisor(make_site(tmp_path, make_sink(roof)), threading.Event(), once=True).run()
    assert roof.offsets[:1] == [1]


def test_it_ends_when_all_sinks_have_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of several sinks the last one counts, and each is told."""
    sinks = [make_sink(RecordingSink(answer=stopping), name) for name in ("roof", "cellar")]
    assert not run(tmp_path, make_source(endless_source()), *sinks)
    assert last(caplog).endswith("all sinks have stopped: sink.roof: the key is wrong; sink.cellar: the key is wrong")


def test_it_ends_when_the_only_source_has_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The sinks are given what there is first: with each restart they come further, however long they were down."""
    before = Supervisor(
        make_site(tmp_path, make_source(finite_source(5)), make_sink(RecordingSink(), "other")),
        threading.Event(),
        once=True,
    )
    assert before.run()
    caplog.clear()
    roof = RecordingSink()
    assert not run(tmp_path, make_source(IteratorSource(items=stopping)), make_sink(roof))
    assert (len(roof.offsets), stored_offset(tmp_path)) == (5, 5)
    assert last(caplog) == "ended with an error: all sources have stopped: source.panel: the key is wrong"


def test_a_source_that_ended_well_is_not_missed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A capture that was played to its end beside a source that has stopped: nothing more will come."""
    roof = RecordingSink()
    assert not run(
        tmp_path, make_source(finite_source(3)), make_source(IteratorSource(items=stopping), "bad"), make_sink(roof)
    )
    assert len(roof.offsets) == 3
    assert last(caplog) == "ended with an error: source.bad: the key is wrong"


@pytest.mark.parametrize("trouble", ["source", "sink"])
def test_it_goes_on_with_what_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str) -> None:
    """With one source and one sink that work it goes on until it is told to stop, and then does not count as good."""
    bad = (
        make_source(IteratorSource(items=stopping), "bad")
        if trouble == "source"
        else make_sink(RecordingSink(answer=stopping), "bad")
    )
    roof, stop, well = RecordingSink(), threading.Event(), []
    supervisor = Supervisor(make_site(tmp_path, make_source(endless_source()), make_sink(roof), bad), stop)
    thread = threading.Thread(target=lambda: well.append(supervisor.run()))
    thread.start()
    wait_for(lambda: "stopped until a restart" in caplog.text)
    before = len(roof.offsets)
    wait_for(lambda: len(roof.offsets) > before + 150)  # through more than one look of the supervisor
    stop.set()
    thread.join(30)
    assert well == [False]
    assert last(caplog) == f"ended with an error: {trouble}.bad: the key is wrong"


def test_a_source_that_fails_for_a_while_is_no_end(tmp_path: Path) -> None:
    """What will be tried again works still, sources and sinks alike; so does what has ended well."""
    roof, stop = RecordingSink(answer=down), threading.Event()
    supervisor = Supervisor(
        make_site(
            tmp_path, make_source(IteratorSource(items=down)), make_source(finite_source(), "other"), make_sink(roof)
        ),
        stop,
    )
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_for(lambda: roof.calls and len(roof.calls) > 1)
    assert thread.is_alive()
    stop.set()
    thread.join(30)


# --- judged by itself


def worker(failure: str = "", *, alive: bool = False) -> Any:  # noqa: ANN401 - what is asked of a worker, and no more
    """Stand in for a source."""
    return SimpleNamespace(
        name="source.x",
        failure=failure,
        thread=SimpleNamespace(is_alive=lambda: alive),
        source=SimpleNamespace(is_derived=False),
    )


def sinks(states: Iterable[str]) -> list[Any]:
    """Stand in for sinks: `level`, `behind`, or else why it is parked."""
    return [
        SimpleNamespace(
            name=f"sink.{place}",
            stop_reason="" if state in {"level", "behind"} else state,
            is_up_to_date=state == "level",
        )
        for place, state in enumerate(states)
    ]


def test_a_sink_that_is_behind_is_waited_for_but_not_for_ever() -> None:
    """After the last source has stopped, a sink that is down holds the end up for half a minute at most."""
    now = 100.0
    health = RunHealth([worker("no port")], sinks(["level", "behind", "the key is wrong"]), clock=lambda: now)
    assert not health.has_failed()
    now += DRAIN_TIMEOUT - 1
    assert not health.has_failed()
    now += 1
    assert health.has_failed()


@pytest.mark.parametrize(
    ("source_workers", "states", "lost"),
    [
        ([worker(alive=True)], ["level"], False),
        ([worker(alive=True)], ["wrong", "level"], False),
        ([worker(alive=True)], ["wrong", "wrong"], True),
        ([worker(alive=True), worker("bad")], ["level"], False),
        ([worker("bad"), worker("bad")], ["level"], True),
        ([worker("bad"), worker()], ["level"], True),
        ([worker(), worker()], ["level"], False),
        ([worker()], ["wrong"], True),
        ([], ["level"], False),
    ],
)
def test_it_takes_a_source_and_a_sink(source_workers: list[Any], states: list[str], lost: bool) -> None:
    """Lost is a run whose sinks have all stopped, or whose sources are all at an end and one of them by a fault."""
    assert RunHealth(source_workers, sinks(states)).has_failed() is lost


def test_what_is_told_is_bounded() -> None:
    """However many parts a sink has, and however much one says, the last line is one that can be read."""
    why = RunHealth([], sinks(["x" * 10_000] * 100)).describe_failure()
    assert why.startswith("all sinks have stopped: sink.0: xxx")
    assert why.endswith(f"; and {100 - MAX_REASONS} more")
    assert len(why) < MAX_REASONS * (MAX_REASON + 100)
