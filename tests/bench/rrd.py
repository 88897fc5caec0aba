# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a minute of a GEM costs in RRD files: 108 files, six readings, as btmon did it and as the sink does.

btmon writes each value as text, and calls RRDtool's binding once for each file and batch. The peer does just that.
"""

import importlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from helpers.rrd_files import START, batch_of, rrd_reading
from servers.rrdcached import MISSING, Rrdcached

from btcore import Batch, Context
from btmon_rrd.plugin import Rrd

MINUTES = 20
SAMPLES = 6
CREATED = 2
"""Minutes that are not measured: files are created in them, or opened."""


def minutes() -> Iterator[Batch]:
    """Yield batches of six readings of a GEM with 48 channels: 48 pairs of counters, four of pulses, eight sensors."""
    counters = [f"ch{n}_{kind}" for n in range(1, 49) for kind in ("aws", "pws")]
    readings = []
    for n in range(MINUTES * SAMPLES + 1):
        values = dict.fromkeys(counters, (1 + n) * 1000)
        readings.append(rrd_reading(10 * n, n + 1, "01021234", "gem48ptbin", **values))
    samples = batch_of(readings).samples
    for sample in samples:
        assert sample.values  # as another sink has made them calculated
    for first in range(0, len(samples), SAMPLES):
        yield Batch(tuple(readings[first + 1 : first + SAMPLES + 1]), samples[first : first + SAMPLES])


def measure(works: Sequence[Callable[[Batch], object]]) -> list[float]:
    """Return the milliseconds that a batch takes each of them: medians, measured in turns."""
    taken: list[list[float]] = [[] for _ in works]
    for batch in minutes():
        for work, times in zip(works, taken, strict=True):
            started = time.perf_counter()
            work(batch)
            times.append(time.perf_counter() - started)
    return [sorted(times[CREATED:])[(MINUTES - CREATED) // 2] * 1000 for times in taken]


def as_btmon(folder: Path) -> Callable[[Batch], None]:
    """Return what btmon did: an update of the binding for each file."""
    sink = opened(folder)
    sink.process_batch(next(iter(minutes())))
    files = sorted(str(path) for path in folder.iterdir() if not path.stem.endswith("volts"))
    assert len(files) == 108

    update = importlib.import_module("rrdtool").update  # it has no types

    def work(batch: Batch) -> None:
        times = [sample.newer.key // 1_000_000 for sample in batch.samples]
        if times[0] > START + 60:
            for file in files:
                update(file, *(f"{at}:{(at - START) * 100:d}" for at in times))

    return work


def opened(folder: Path, daemon: str = "") -> Rrd:
    """Return a sink with btmon's archives."""
    sink = Rrd(dir=folder, daemon=daemon)
    sink.open(Context("sink.rrd", logging.getLogger("bench")))
    return sink


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        works: list[Callable[[Batch], object]] = [as_btmon(folder / "btmon"), opened(folder / "direct").process_batch]
        if not MISSING:
            daemon = stack.enter_context(Rrdcached(folder))
            works.append(opened(daemon.files, daemon=daemon.address).process_batch)
        base, *others = measure(works)
        print(f"{'RRD: a GEM minute, as btmon':<32} {base:10.2f} ms      1.00 x")
        for what, found in zip(("by the binding", "through rrdcached"), others, strict=False):
            print(f"{f'RRD: the same {what}':<32} {found:10.2f} ms {found / base:9.2f} x")
    print(MISSING)
    return 0


if __name__ == "__main__":
    sys.exit(main())
