# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin: its settings and hooks."""

import os
from collections.abc import Iterable, Iterator
from logging import Logger, getLogger
from pathlib import Path
from threading import Event
from typing import Any

import attrs

from btcore import (
    FORMATS,
    Batch,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Reading,
    SourceCheckpoint,
    hookimpl,
    plugin,
    setting,
)
from btmon_rrd.daemon import DaemonStore
from btmon_rrd.direct import ADVICE, INSTALL, DirectStore, binding_problem
from btmon_rrd.feed import Stored, series_of, spans_of
from btmon_rrd.layout import (
    CONSOLIDATIONS,
    Layout,
    data_source_name,
    describe_bytes,
    file_name,
    parse_archives,
    plural,
)
from btmon_rrd.rrdcached import MAX_LINE, line, parse_address
from btmon_rrd.source import Directory, follow
from btmon_rrd.store import Store
from btmon_rrd.writer import Writer, by_meter

FLUSH = Delivery(flush_interval=Duration(60))
"""As btmon: a minute's readings together, which costs little more than one."""


def check_seconds(_instance: object, _attribute: Any, value: float | None) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what is not a whole number of seconds above 0."""
    if value is not None and (value < 1 or value % 1):
        raise ValueError("expected whole seconds, at least 1s")


def check_wait(_instance: object, _attribute: Any, value: float) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for no wait at all."""
    if value < 1:
        raise ValueError("expected at least 1s")


def check_address(_instance: object, _attribute: Any, text: str) -> None:  # noqa: ANN401 - attrs' own type
    """Raise ValueError for what is no address."""
    if text:
        parse_address(text)


@plugin(api=1, delivery=FLUSH)
class Rrd:
    """Stores readings in RRD files, one for each number of a meter, and reads them back."""

    dir: Path = setting(default=Path("rrd"), help="the directory of the files, which are named SERIAL_LABEL.rrd")
    step: Duration = setting(default=Duration(10), help="length of a step of new files", validator=check_seconds)
    heartbeat: Duration | None = setting(
        default=None,
        help="new files: a value is unknown if none came for this long; default: two steps",
        validator=check_seconds,
    )
    daemon: str = setting(
        default="",
        help=f"address of rrdcached, which writes the files; empty: RRDtool's Python binding writes them ({INSTALL})",
        validator=check_address,
    )
    store: Stored = setting(
        default="counters",
        help="counters: watt-seconds of each channel and direction, of which RRDtool makes W; power: W of each channel",
    )
    archives: list[str] = setting(
        factory=list,
        help='archives of new files, such as "1m:30d": a row each minute, for 30 days; empty: those of btmon',
    )
    min_max: bool = setting(
        default=True,
        help="keep the highest and the lowest value of each row too, as btmon did; false: a third of the size",
    )
    timeout: Duration = setting(default=Duration(15), help="the longest wait for rrdcached")
    format: str = setting(
        default="",
        help="source: the packet format of which readings are made; empty: seen from the files",
        choices=("", *FORMATS),
    )
    poll_interval: Duration = setting(
        default=Duration(120), help="source: how often files are read", validator=check_wait
    )
    _context: Context | None = attrs.field(init=False, default=None, repr=False)
    _log: Logger = attrs.field(init=False, factory=lambda: getLogger(__name__), repr=False)
    _store: Store | None = attrs.field(init=False, default=None, repr=False)
    _writer: Writer | None = attrs.field(init=False, default=None, repr=False)
    _is_sink: bool = attrs.field(init=False, default=False, repr=False)

    def check(self, delivery: Delivery | None = None) -> Iterator[Problem]:
        """Find settings that do not fit together, and a binding that is missing."""
        self._is_sink = delivery is not None
        try:
            layout = self._layout()
        except ValueError as error:
            yield Problem(str(error), key="archives")
            return
        if delivery is None:
            return  # a source reads by RRDtool's program as well
        if not self.daemon and (problem := binding_problem()):
            # a warning: this sink cannot work, and the others need not wait for it
            yield Problem(problem, key="daemon", warning=True)
        yield from self._check_sink(layout, delivery)

    def notes(self) -> Iterator[str]:
        """Tell how big new files become."""
        if self._is_sink:
            yield self._describe_size(self._layout())

    def claims(self) -> Iterator[Claim]:
        """Claim the files: of two sinks the second would find its times taken, and a source would read its own sink."""
        yield Claim(f"{self.store} files in {os.path.realpath(self.dir)}", key="dir", per_meter=self._is_sink)

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the files, and rrdcached, can be used; nothing is stored."""
        from btmon_rrd.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        address = parse_address(self.daemon) if self.daemon else None
        timeout = min(self.timeout, context.seconds)
        return diagnose(self.dir, address, timeout, is_written=context.name.startswith("sink."))

    @hookimpl
    def open(self, context: Context) -> None:
        """Connect to rrdcached, or import the binding. Raises Retry or Stop."""
        self._log, self._context = context.log, context
        if not context.name.startswith("sink."):
            return
        if self._store is None:
            self._store = self._new_store()
        layout = self._layout()
        self._writer = Writer(self._store, self.dir, layout, self.store, context.polarity, context.log)
        if not context.dry_run:
            self._store.open()

    @hookimpl
    def close(self) -> None:
        """Have all that was delivered written."""
        if self._store is not None:
            self._store.close()

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Reading | SourceCheckpoint]:
        """Yield the readings that files were made of, then those that are added."""
        assert self._context is not None  # noqa: S101 - the core opens before it collects
        address = parse_address(self.daemon) if self.daemon else None
        directory = Directory(self.dir, self._log, self.format, address, self.timeout)
        return follow(directory, self._context.checkpoint, stop, self.poll_interval, once=self._context.once)

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Update the files of each meter, each once."""
        assert self._writer is not None  # noqa: S101 - the core opens before it delivers
        self._writer.write(batch)
        return batch.sampled

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what would be stored, a line a file."""
        assert self._writer is not None  # noqa: S101 - as above
        for serial, samples in by_meter(batch).items():
            for path, series, having in self._writer.files_of(serial, spans_of(samples)):
                values = [f"{span.end}:{series.format(series.get(span.sample))}" for span in having]
                yield f"{path}: {' '.join(values)}"

    def _new_store(self) -> Store:
        if self.daemon:
            return DaemonStore(parse_address(self.daemon), self.timeout)
        return DirectStore(self.dir)

    def _layout(self) -> Layout:
        """Return how new files are made. Raises ValueError."""
        consolidations = CONSOLIDATIONS if self.min_max else CONSOLIDATIONS[:1]
        heartbeat = 2 * self.step if self.heartbeat is None else self.heartbeat
        step = int(self.step)
        return Layout(step, int(heartbeat), parse_archives(self.archives, step), consolidations)

    def _check_sink(self, layout: Layout, delivery: Delivery) -> Iterator[Problem]:
        if delivery.interval > layout.heartbeat:
            yield Problem(
                f"with interval = {delivery.interval:.0f} s a value comes less often than every {layout.heartbeat} s"
                f' (heartbeat), so all would be unknown: set heartbeat = "{2 * delivery.interval:.0f}s"',
                key="heartbeat",
            )
        longest = line("CREATE", *self._file("0" * 64, "label" * 3), *layout.round_robin_archives())
        if self.daemon and len(longest) > MAX_LINE:
            yield Problem("so many archives do not fit into a command of rrdcached: expected fewer", key="archives")

    def _file(self, serial: str, label: str) -> tuple[str, str]:
        return str(self.dir / file_name(serial, label)), data_source_name(label)

    def _describe_size(self, layout: Layout) -> str:
        """Describe how much space the files of each kind of meter take."""
        sizes = []
        for meter, name in (("a GEM", "gem48ptbin"), ("an ECM-1240", "ecm1240bin")):
            files = len(series_of(FORMATS[name], self.store, "brultech"))
            sizes.append(f"{describe_bytes(files * layout.file_bytes)} for {meter} ({plural(files, 'file')})")
        return f"new files take {describe_bytes(layout.file_bytes)} each: {', '.join(sizes)}"


if binding_problem():
    # `btcore plugins` lists this line; a configuration that needs the binding is told by `check`
    Rrd.__doc__ = f"{str(Rrd.__doc__).rstrip('.')}; needs rrdcached, or the binding that is missing: {ADVICE}"
