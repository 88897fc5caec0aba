# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a journal and their readings: of ECM-1220s, of an ECM-1240, of a recording, and with bytes of any kind."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import attrs

from btcore import Reading, pack
from btcore.journal import DeadLetter, Entry, Journal
from helpers.packets import DECODERS, METER, packet
from helpers.times import NOON, SECOND, START


def entry(at: float, serial: str = METER, *, secs: int | None = None, energy: int = 0, flag: int = 0) -> Entry:
    """Make the entry of a packet that came in so many seconds after `START`; by its own count, 1000 s more."""
    raw = packet(serial, round(at) + 1000 if secs is None else secs, energy, flag=flag)
    return Entry(START + round(at * SECOND), "panel", serial, "ecm1220bin", raw)


def reading_of(of: Entry) -> Reading:
    """Make the reading of an entry."""
    found = DECODERS.read_entry(of)
    assert found is not None
    return found


def readings_of(entries: Sequence[Entry]) -> list[Reading]:
    """Make the readings of entries, with offsets from 1 on as in a journal."""
    return [reading_of(attrs.evolve(one, offset=offset)) for offset, one in enumerate(entries, 1)]


def raw_entry(key: int, raw: bytes = b"", serial: str = METER) -> Entry:
    """Make an entry whose packet is any bytes: those of its key, where none are given."""
    return Entry(key, "panel", serial, "ecm1220bin", raw or str(key).encode())


def fill(journal: Journal, count: int, *, first: int = 0) -> list[bytes]:
    """Append so many entries, one by one; return their packets."""
    raws = [b"%d" % n * 40 for n in range(first, first + count)]
    for n, raw in enumerate(raws, first):
        journal.append([raw_entry(n, raw)])
    return raws


def dead_letter(sink: str, *places: int) -> DeadLetter:
    """Make something set aside."""
    return DeadLetter(sink, METER, NOON, NOON + timedelta(seconds=10), "too sunny", places, places)


ECM1240_START = 1_700_000_000
"""Seconds since 1970: when the first of `ecm1240_entries` came in."""


def entries_of(readings: Iterable[Reading]) -> list[Entry]:
    """Make the entries of readings."""
    return [Entry(one.key, one.source, one.serial, one.format.name, one.raw) for one in readings]


def ecm1240_entries(
    seconds: int, interval: int = 10, serial: str = "312345", start: int = ECM1240_START, up: int = 0, watts: int = 1500
) -> Iterator[Entry]:
    """Yield the packets of an ECM-1240 over so many seconds: `watts` on ch1, 200 W on aux1; it is `up` since then."""
    for at in range(0, seconds + 1, interval):
        values = {"secs": up + at, "volts": 120.0, "ch1_aws": watts * at, "aux1_ws": 200 * at}
        yield Entry((start + at) * 1_000_000, "made", serial, "ecm1240bin", pack("ecm1240bin", serial, values))
