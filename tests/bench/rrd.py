"""Measures what a minute of a GEM costs in RRD files: 108 files, six readings, as btmon did it and as the sink does.

btmon calls RRDtool's binding once for each file and batch. The peer here does just that, with texts that are there
already, so without btmon's own work of making them.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import rrdtool
from btmon_rrd.plugin import Rrd
from helpers.rrd_files import START, batch_of, rrd_reading
from servers.rrdcached import MISSING, Rrdcached

from btcore import Batch, Context

MINUTES = 20
SAMPLES = 6
CREATED = 2
"""Minutes that are not measured: files are created in them, or opened."""


def minutes() -> Iterator[Batch]:
    """Yield batches of six readings of a GEM with 48 channels: 48 pairs of counters, four of pulses, eight sensors."""
    counters = [f"ch{n}_{kind}" for n in range(1, 49) for kind in ("aws", "pws")]
    readings = []
    for n in range(MINUTES * SAMPLES + 1):
        values = {label: (1 + n) * 1000 for label in counters}
        readings.append(rrd_reading(10 * n, n + 1, "01021234", "gem48ptbin", **values))
    samples = batch_of(readings).samples
    for sample in samples:
        assert sample.values  # as another sink has made them calculated
    for first in range(0, len(samples), SAMPLES):
        yield Batch(tuple(readings[first + 1 : first + SAMPLES + 1]), samples[first : first + SAMPLES])


def per_minute(work: Callable[[Batch], object], batches: list[Batch]) -> float:
    """Return the milliseconds that a batch takes: the median."""
    taken = []
    for batch in batches:
        started = time.perf_counter()
        work(batch)
        taken.append(time.perf_counter() - started)
    return sorted(taken[CREATED:])[(MINUTES - CREATED) // 2] * 1000


def as_btmon(folder: Path) -> Callable[[Batch], None]:
    """Return what btmon did: an update of the binding for each file."""
    sink = opened(folder)
    sink.process_batch(next(iter(minutes())))
    files = sorted(str(path) for path in folder.iterdir() if not path.stem.endswith("volts"))
    assert len(files) == 108

    def work(batch: Batch) -> None:
        times = [sample.newer.key // 1_000_000 for sample in batch.samples]
        if times[0] > START + 60:
            points = [f"{at}:{(at - START) * 100}" for at in times]
            for file in files:
                rrdtool.update(file, *points)

    return work


def opened(folder: Path, **settings: str) -> Rrd:
    """Return a sink with btmon's archives."""
    sink = Rrd(dir=folder, **settings)
    sink.open(Context("sink.rrd", logging.getLogger("bench")))
    return sink


def main() -> int:
    """Print the figures."""
    batches = list(minutes())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = per_minute(as_btmon(folder / "btmon"), batches)
        print(f"{'btmon: an update a file':<32} {base:10.2f} ms     1.00 x")
        direct = per_minute(opened(folder / "direct").process_batch, batches)
        print(f"{'rrd, by the binding':<32} {direct:10.2f} ms {direct / base:8.2f} x")
        if MISSING:
            print(MISSING)
            return 0
        with Rrdcached(folder) as daemon:
            through = per_minute(opened(daemon.files, daemon=daemon.address).process_batch, batches)
        print(f"{'rrd, through rrdcached':<32} {through:10.2f} ms {through / base:8.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
