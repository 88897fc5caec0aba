# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes batches into files: which file gets which points, from where on, and new files for what has none yet.

What a point is, is decided in `feed.py`; how points get into files, by a store.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from logging import Logger
from pathlib import Path

import attrs

from btcore import Batch, Format, Polarity, Retry, Sample, Stop
from btmon_rrd.feed import FileState, Series, Span, Stored, further_of, series_of, spans_of
from btmon_rrd.front import Front, front_of
from btmon_rrd.layout import Layout, data_source_name, file_name, joined
from btmon_rrd.store import Store

ATTEMPTS = 3
"""How often a batch is written anew because files were not where they were thought to be."""

COUNTER_KINDS = ("DERIVE", "COUNTER", "DDERIVE", "DCOUNTER")

SLOW = 3
"""Samples in a row that are too long, before that is reported: a single one is a gap."""

FUTURE = 3600
"""Seconds by which the last update of a file may be later than the readings, before that is reported."""

Points = dict[str, list[str]]


@attrs.define(eq=False)
class Writer:
    """Writes samples into the files of one directory. It remembers how far each file is."""

    store: Store
    directory: Path
    layout: Layout
    stored: Stored
    polarity: Polarity
    log: Logger
    _states: dict[str, FileState] = attrs.field(factory=dict)
    _fronts: dict[str, Front] = attrs.field(factory=dict)
    """The meters whose files are all up to their last reading; what `_states` has of these files is outdated."""
    _slow: dict[str, int] = attrs.field(factory=dict)
    """Of how many samples in a row a meter's readings were further apart than the heartbeat."""
    _reported: set[str] = attrs.field(factory=set)
    """Meters, and files, of which something was reported already."""

    def write(self, batch: Batch) -> None:
        """Write all samples of a batch, each once however often it comes. Raises Retry or Stop."""
        try:
            self._write(batch)
        except BaseException:
            self._states.clear()  # how much of it was written is not known
            self._fronts.clear()
            raise

    def _write(self, batch: Batch) -> None:
        outdated: set[str] = set()
        for _ in range(ATTEMPTS):
            updates: dict[str, str] = {}
            for of_meter in self._updates(batch):
                updates |= of_meter
            outdated = self.store.update(updates) if updates else set()
            if not outdated:
                return
            self._forget(outdated)
        raise Retry(
            f"another program updates {joined(outdated)} meanwhile: only one may write the files of a directory"
        )

    def _forget(self, paths: Iterable[str]) -> None:
        """Have the state of these files asked again."""
        for serial in [*self._fronts]:
            self._states.update(self._fronts.pop(serial).states())
        for path in paths:
            self._states.pop(path, None)

    def _updates(self, batch: Batch) -> Iterator[dict[str, str]]:
        """Yield the points that each meter's files lack; from then on they are taken to be in them."""
        for serial, samples in by_meter(batch).items():
            spans = spans_of(samples)
            self._report_heartbeat(serial, spans)
            front = self._fronts.get(serial)
            points = front.advance(spans) if front else None
            yield self._updates_of(serial, spans) if points is None else points

    def _updates_of(self, serial: str, spans: Sequence[Span]) -> dict[str, str]:
        """Return the points of a meter's files, file by file."""
        if front := self._fronts.pop(serial, None):
            self._states.update(front.states())
        files, updates = [], {}
        for path, series, having in self.files_of(serial, spans):
            state = self._states.get(path) or self._opened(path, series, having)
            if state is not None and (points := series.points(having, state)):
                state = self._states[path] = state.after(*points[-1])
                updates[path] = " ".join(f"{time}:{series.format(value)}" for time, value in points)
            files.append((path, series, state))
        if front := front_of(files, spans[-1]):
            self._fronts[serial] = front
        return updates

    def files_of(self, serial: str, spans: Sequence[Span]) -> Iterator[tuple[str, Series, Sequence[Span]]]:
        """Yield the files of a meter, each with what is in it and the samples that have that."""
        further = further_of([span.sample for span in spans])
        formats = dict.fromkeys(span.sample.format for span in spans)
        found: dict[str, tuple[Series, list[Format]]] = {}
        for format in formats:
            for series in series_of(format, self.stored, self.polarity, further):
                found.setdefault(series.label, (series, []))[1].append(format)
        for label, (series, some) in found.items():
            path = os.path.join(self.directory, file_name(serial, label))  # noqa: PTH118 - quicker than a Path
            having = spans if len(some) == len(formats) else [one for one in spans if one.sample.format in some]
            yield path, series, having

    def _opened(self, path: str, series: Series, spans: Sequence[Span]) -> FileState | None:
        """Return how far a file is, which is created if there is something for it. Raises Retry or Stop."""
        state = self.store.state(path)
        if state is None:
            known = [span.end for span in spans if series.get(span.sample) is not None]
            if not known:
                return None  # no sensor
            data_source = self.layout.data_source(data_source_name(series.label), series.kind)
            definitions = [data_source, *self.layout.round_robin_archives()]
            self.store.create(path, known[0] - 1, self.layout.step, definitions)
            state = self.store.state(path)
            if state is None:
                raise Retry(f"{path} was created, and is not there: does another program delete it?")
        self._check(path, series, state, spans[-1])
        self._states[path] = state
        return state

    def _check(self, path: str, series: Series, state: FileState, newest: Span) -> None:
        expected = COUNTER_KINDS if series.kind == "DERIVE" else ("GAUGE",)
        if state.kind not in expected:
            raise Stop(
                f"{path} is of the type {state.kind}, which btmon did not make; expected {' or '.join(expected)}:"
                " move the file away, or name another `dir`"
            )
        ahead = state.last - newest.end
        if ahead > FUTURE and "" not in self._reported:
            self._reported.add("")
            self.log.warning(
                "%s has values until %.0f minutes after these readings (%s): RRDtool stores none that is earlier; was a"
                " clock wrong? Until then nothing is stored; or move the file away",
                *(path, ahead / 60, newest.sample.end.isoformat(" ", "seconds")),
            )

    def _report_heartbeat(self, serial: str, spans: Sequence[Span]) -> None:
        """Report, once, a meter whose readings come more slowly than its files allow: all values would be unknown."""
        seconds = min(span.end - span.start for span in spans)
        if seconds <= self.layout.heartbeat:
            self._slow.pop(serial, None)
            return
        self._slow[serial] = self._slow.get(serial, 0) + len(spans)
        if self._slow[serial] >= SLOW and serial not in self._reported:
            self._reported.add(serial)
            self.log.warning(
                "readings of meter %s are %.0f s apart, and files have a heartbeat of %d s, so RRDtool takes every"
                ' value for unknown: set heartbeat = "%.0fs" for new files; for each that is there run'
                " rrdtool tune FILE --heartbeat NAME:%.0f",
                *(serial, seconds, self.layout.heartbeat, 2 * seconds, 2 * seconds),
            )


def by_meter(batch: Batch) -> dict[str, list[Sample]]:
    """Group the samples of a batch by meter."""
    found: dict[str, list[Sample]] = {}
    for sample in batch.samples:
        found.setdefault(sample.serial, []).append(sample)
    return found
