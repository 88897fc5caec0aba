# SPDX-License-Identifier: GPL-3.0-or-later
"""One plugin under the real supervisor: with a journal, retries, checkpoints, dead letters and a log, in one process.

A run ends by itself when all is delivered. What a process does that is killed is in `process.py`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import attrs

from btcore.config.site import Decoder, Sink, Site, Source
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.hookspecs import hookimpl
from btcore.journal import DeadLetter
from btcore.journal.opening import DEFAULT, open_journal
from btcore.records import Batch, Chunk, Reading, SourceCheckpoint
from btcore.runtime.supervisor import Supervisor
from btcore.settings import Delivery, Duration, plugin
from btcore.testing.kit.waiting import PATIENCE, wait_for

FAST: dict[str, Any] = {"min_backoff": Duration(0.01), "max_backoff": Duration(0.1)}
"""Waits after a failure that a test can afford."""

_MOST = 100_000


@attrs.frozen
class Run:
    """What came of a run: the lines of its log, all readings in the journal, dead letters, and how far the sink is.

    `worked` is False if a source or a sink stopped with an error. `delivered` is how many readings of the journal are
    before the sink's checkpoint.
    """

    worked: bool
    log: tuple[str, ...]
    readings: tuple[Reading, ...]
    dead_letters: tuple[DeadLetter, ...]
    delivered: int


@plugin(api=1)
class _Given:
    """A source that brings what it is given, and ends."""

    items: Iterable[Chunk | Reading]

    @hookimpl
    def collect(self) -> Iterator[Chunk | Reading | SourceCheckpoint]:
        yield from self.items


@plugin(api=1)
class _Taker:
    """A sink that takes everything, and keeps it in memory."""

    taken: list[Reading] = attrs.field(factory=list)

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        self.taken += batch.readings


def run_sink(
    sink: object,
    packets: Iterable[bytes | Reading],
    state: Path,
    *,
    dry_run: bool = False,
    decoder: object | None = None,
    **delivery: Any,  # noqa: ANN401 - of any kind
) -> Run:
    """Let a sink deliver these packets (or readings), and return when all are settled: delivered, or dead letters.

    `state` is a folder: a second run with the same one goes on where the first stopped. `delivery` has delivery
    settings of its table, such as `batch_size=1`; waits after a failure are short unless it says otherwise.
    """
    items = [one if isinstance(one, Reading) else Chunk(one, stream="given") for one in packets]
    own = getattr(type(sink), "delivery", Delivery())
    table = Sink("tested", "sink.tested", "tested", sink, attrs.evolve(own, **{**FAST, **delivery}))
    site = _site(state, Source("given", "source.given", "given", _Given(items=items)), table, decoder)
    return _run(Supervisor(site, Event(), once=True, dry_run=dry_run), state, "sink.tested", decoder)


def run_source(
    source: object,
    state: Path,
    *,
    until: Callable[[tuple[Reading, ...]], bool] | None = None,
    decoder: object | None = None,
    **settings: Any,  # noqa: ANN401 - of any kind
) -> Run:
    """Let a source collect, until it ends by itself, or until `until` holds for the readings that it brought.

    `settings` are those of every source's table, such as `formats=("acme",)`.
    """
    table = Source("tested", "source.tested", "tested", source, **{**FAST, **settings})
    taker, stop = _Taker(), Event()
    site = _site(state, table, Sink("taker", "sink.taker", "taker", taker, Delivery()), decoder)
    supervisor = Supervisor(site, stop, once=until is None)
    if until is None:
        return _run(supervisor, state, "sink.taker", decoder)
    with _stopping(stop, lambda: until(tuple(taker.taken))):
        return _run(supervisor, state, "sink.taker", decoder)


def run_decoder(decoder: object, chunks: Iterable[bytes], state: Path) -> Run:
    """Let a decoder find packets in these bytes, which come in one after the other; the built-in one is asked too."""
    given = _Given(items=[Chunk(chunk, stream="given") for chunk in chunks])
    return run_source(given, state, decoder=decoder)


@contextmanager
def _stopping(stop: Event, condition: Callable[[], bool]) -> Iterator[None]:
    """Set an event once a condition holds, while the block runs. What goes wrong in the condition is raised."""
    failures: list[BaseException] = []

    def watch() -> None:
        try:
            wait_for(condition, "what `until` waits for")
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)
        stop.set()

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
    if failures:
        raise failures[0]


def _site(state: Path, source: Source, sink: Sink, decoder: object | None) -> Site:
    decoders = [Decoder("brultech", "decoder.brultech", "brultech", Brultech())]
    if decoder is not None:
        decoders.append(Decoder("tested", "decoder.tested", "tested", decoder))
    return Site(file=state / "site.toml", state=state, sources=(source,), sinks=(sink,), decoders=tuple(decoders))


def _run(supervisor: Supervisor, state: Path, sink: str, decoder: object | None) -> Run:
    with recorded_log() as lines:
        worked = supervisor.run()
    with closing(open_journal(DEFAULT, state)) as journal:
        checkpoint = journal.checkpoint(sink)
        entries = list(journal.read(0, _MOST))
        delivered = sum(checkpoint is not None and one.offset <= checkpoint.examined for one in entries)
        letters = tuple(journal.dead_letters())
    refused = sum(len(one.keys) for one in letters)
    return Run(worked, tuple(lines), _readings(state, decoder), letters, max(0, delivered - refused))


def _readings(state: Path, decoder: object | None) -> tuple[Reading, ...]:
    decoders = Decoders([Brultech(), *([] if decoder is None else [decoder])])
    with closing(open_journal(DEFAULT, state)) as journal:
        found = [decoders.read_entry(entry) for entry in journal.read(0, _MOST)]
    return tuple(reading for reading in found if reading is not None)


class _Lines(logging.Handler):
    """Keeps the lines that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.name}: {self.format(record)}")


@contextmanager
def recorded_log() -> Iterator[list[str]]:
    """Record all that is logged while the block runs, debug messages and tracebacks too."""
    root, handler = logging.getLogger(), _Lines()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
