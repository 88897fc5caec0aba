# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures speed and memory: ratios against a peer in the same run, so that the machine does not matter.

The peer is siobrultech-protocols, which Home Assistant reads these meters with. It decodes one packet; for what it does
not do (framing with resynchronisation, calculation, a journal) the figure is packets a second of one core.
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from siobrultech_protocols.gem.packets import BIN48_NET_TIME

from btcore import FORMATS, Reading, pack
from btcore.calculate.samples import between
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btcore.journal import Entry
from btcore.records import Sample
from btcore.sqlite_journal.journal import SqliteJournal

GOLDEN = Path(__file__).parents[1] / "golden"
PACKET = (GOLDEN / "captures" / "BIN48-NET-TIME.bin").read_bytes()
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def rate(work: Callable[[], int], seconds: float = 1.0) -> float:
    """Return how many a second: `work` does some and tells how many."""
    work()
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        done += work()
    return done / elapsed


def reading(n: int) -> Reading:
    """Make a reading that differs from the one before."""
    values = {f"ch{i}_aws": 1000 * n * i for i in range(1, 49)}
    raw = pack("gem48ptbin", "01100603", {"volts": 120.0, "secs": 10 * n, **values})
    return Reading(NOW, FORMATS["gem48ptbin"], "01100603", raw)


def peer() -> int:
    """Decode one packet with the peer."""
    BIN48_NET_TIME.parse(PACKET)
    return 1


def decode() -> int:
    """Decode the same packet into the same named values."""
    raw = Reading(NOW, FORMATS["gem48ptbin"], "01100603", PACKET)
    return 1 if raw.values else 0


def frame_and_decode() -> int:
    """Find the packet in a stream, check it, decode it."""
    stream = Decoders([Brultech()]).stream(StreamCounts())
    found = [Reading(t, p.format, p.serial, p.raw).values for p, t in stream.feed(PACKET * 50, NOW)]
    return len(found)


def calculate() -> int:
    """Calculate all values of two readings that are decoded anew."""
    older, newer = (Reading(NOW, r.format, r.serial, r.raw) for r in PAIR)
    sample = between(older, newer)
    return 1 if isinstance(sample, Sample) and sample.values else 0


PAIR = (reading(1), reading(2))


def journal(folder: Path) -> Callable[[], int]:
    """Return work that commits one packet to a journal."""
    kept = SqliteJournal(folder / "journal.db")
    keys = iter(range(1, 1 << 40))

    def work() -> int:
        return len(kept.append([Entry(next(keys), "panel", "01100603", "gem48ptbin", PACKET)]).kept)

    return work


def junk() -> int:
    """Skip junk, with a header in every hundred bytes; counts kilobytes."""
    stream = Decoders([Brultech()]).stream(StreamCounts())
    list(stream.feed((b"\xfe\xff\x05" + b"x" * 97) * 1000, NOW))
    return 100


def memory() -> float:
    """Return the bytes that one reading in memory costs, not decoded."""
    count = 2000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [Reading(NOW, FORMATS["gem48ptbin"], "01100603", bytes(bytearray(PACKET))) for _ in range(count)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / len(kept)


def main() -> int:
    """Print the figures."""
    base = rate(peer)
    print(f"peer: decode a GEM packet        {base:10,.0f} /s      1.0 x")
    jobs = (("decode", decode), ("frame, check, decode", frame_and_decode), ("decode two, calculate", calculate))
    for name, work in jobs:
        found = rate(work)
        print(f"{name:<32} {found:10,.0f} /s {found / base:8.1f} x")
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'journal, a commit a packet':<32} {rate(journal(Path(folder))):10,.0f} /s")
    print(f"{'junk, resynchronising':<32} {rate(junk):10,.0f} kB/s")
    print(f"{'a reading in memory':<32} {memory():10,.0f} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
