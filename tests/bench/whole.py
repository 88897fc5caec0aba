# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the whole program: packets a second of one core, start, memory, lateness; and `run --once`."""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.program import IDLE, Load, Start, lateness, lines, measure, start
from bench.reference import beside
from bench.rows import Must, Row, reckoned
from bench.timing import Spread

LOADS = (
    (Load(meters=1), Must(10_000)),
    (Load(meters=100), Must(10_000)),
    (Load(packets=10_000, meters=1000), Must(10_000)),
    (Load(sinks=4), Must(7_000)),
    (Load(packets=4000, schema="ecmreadext"), Must(8_000)),
)

PLAIN = Load(flush="60s")
HOUSE = 40
"""Packets of which the lateness is measured."""


def describe(load: Load) -> str:
    """Name a load as the table does."""
    meters = "1 connection" if load.meters == 1 else f"{load.meters:,} connections"
    return f"TCP to SQLite {load.schema}, {meters}, {load.sinks} sink{'s' if load.sinks > 1 else ''}"


def per_second(load: Load) -> tuple[float, float]:
    """Return packets for a second of the processor, and the speed of the machine."""
    return beside(lambda: 1 / measure(load).seconds_each)


def throughput(rounds: int) -> list[Row]:
    """Measure all loads, in turns."""
    found = [[per_second(load) for load, _ in LOADS] for _ in range(rounds)]
    return [reckoned(describe(load), "/s", [one[at] for one in found], must) for at, (load, must) in enumerate(LOADS)]


def starts(rounds: int) -> list[Row]:
    """Measure starts, with one sink and with eleven."""
    found: list[Start] = []
    times = [beside(lambda: _ms_of_start(found)) for _ in range(rounds)]
    more = [start(Load(sinks=11, flush="60s").site) for _ in range(rounds)]
    each = [(other.memory - one.memory) / 10 for one, other in zip(found, more, strict=True)]
    return [
        reckoned("start until it listens, tcp-server and sqlite", "ms", times, Must(100, is_cost=True)),
        Row("resident after the start", "MB", Spread.of([one.memory for one in found]), Must(20, is_cost=True)),
        Row("one more idle sink", "MB", Spread.of(each), Must(0.3, is_cost=True)),
    ]


def _ms_of_start(found: list[Start]) -> float:
    found.append(start(PLAIN.site))
    return 1000 * found[-1].seconds


def late(rounds: int) -> list[Row]:
    """Measure how late the packets of an honest meter are; by the clock, which a busy machine lengthens."""
    alone = Load(meters=0)
    loads = {"": alone, **{kind: Load(meters=0, idle=kind) for kind in IDLE}}
    found = [{kind: lateness(load, HOUSE) for kind, load in loads.items()} for _ in range(rounds)]
    medians = {kind: [statistics.median(one[kind]) for one in found] for kind in loads}
    eight = lateness(Load(meters=0, sinks=8), HOUSE)
    crowd = lateness(Load(meters=1000, sinks=4), HOUSE, one_core=True)
    return [
        Row("an idle program, until a packet is in SQLite", "ms", Spread.of(medians[""])),
        *(
            Row(
                f"how much later with seven idle sinks {kind}",
                "ms",
                Spread.of([later - first for first, later in zip(medians[""], medians[kind], strict=True)]),
                Must(1, is_cost=True),
            )
            for kind in IDLE
        ),
        Row("the first of eight sinks that all deliver it", "ms", Spread.of(eight)),
        Row("one core, 1,000 connections, 4 sinks: the same", "ms", Spread.of(crowd), Must(100, is_cost=True)),
    ]


def once(rounds: int, packets: int = 8000) -> list[Row]:
    """Measure `run --once`, a capture into SQLite, without what a start takes."""
    least = min(_once(Load(packets=2, meters=1)) for _ in range(rounds))

    def rate() -> float:
        return packets / max(_once(Load(packets=packets, meters=100)) - least, 1e-6)

    found = [beside(rate) for _ in range(rounds)]
    return [reckoned("run --once, a capture into SQLite", "/s", found, Must(15_000))]


def _once(load: Load) -> float:
    """Return the seconds of the processor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "capture").write_bytes(b"".join(lines(load)))
        site = 'state = "state"\n[source.file]\npath = "capture"\n[sink.sqlite]\nfile = "energy.db"\n'
        (folder / "site.toml").write_text(site)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "btcore", "run", "--once", "--quiet", "--config", "site.toml"]
        subprocess.run(command, cwd=folder, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(rounds: int) -> list[Row]:
    """Measure all."""
    return [*throughput(rounds), *once(rounds), *starts(rounds), *late(rounds)]
