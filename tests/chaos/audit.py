# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts for every packet and every watt-second: what was sent, kept, delivered, set aside, lost or doubled.

Pure: what there is goes in, what is wrong with it comes out, and a table for a person.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
from chaos.meters import Packet, add_up, net
from chaos.stores import Identity, Stored

SLOT = 300

WAITED = 60_000_000
"""Microseconds after the end of a slot for which a meter that has not reached it is waited for."""


@attrs.frozen
class Kept:
    """A reading in the journal, in the order in which it was kept."""

    serial: str
    key: int
    raw: bytes


@attrs.frozen
class Facts:
    """What is known when all is over.

    `sent` are the sendings of each packet, `excused` spans of the steady clock in which the program was not able to
    take what it was sent. `dead_letters` are those of each sink, `dropped` the readings that it passed over by its
    limits. `lost` is how many readings the program says that the journal has lost, and
    `uncounted` how often it knew only of some: not of those of the last minute. `slots` are PVOutput's counter of a
    meter, `slots_of`.
    """

    packets: Sequence[Packet]
    sent: Mapping[bytes, Sequence[float]]
    excused: Sequence[tuple[float, float]]
    kept: Sequence[Kept]
    stored: Mapping[str, Stored]
    dead_letters: Mapping[str, set[Identity]]
    dropped: Mapping[str, int]
    lost: int
    uncounted: int
    slots: Mapping[int, int] | None = None
    slots_of: str = ""


@attrs.frozen
class Line:
    """What became of the readings of one sink. `counts_readings`: it can tell which it has."""

    sink: str
    counts_readings: bool
    wanted: int
    delivered: int
    dead_letters: int
    dropped: int
    missing: int
    doubled: int
    unknown: int
    expected: float | None
    found: float | None
    worst: float
    worst_of: str
    rounding: float


@attrs.frozen
class Account:
    """What came of it: the lines of the table, and what is wrong."""

    lines: Sequence[str]
    wrong: Sequence[str]


def settle(facts: Facts) -> Account:
    """Account for everything."""
    kept = {one.raw for one in facts.kept}
    by_raw = {packet.raw: packet for packet in facts.packets}
    missing = [raw for raw in facts.sent if raw not in kept]
    excused = [raw for raw in missing if all(_is_excused(facts, at) for at in facts.sent[raw])]
    unexplained = len(missing) - len(excused)
    strangers = sum(raw not in by_raw for raw in kept)
    lost = facts.lost + facts.uncounted * _most_in_a_minute(facts.sent.values())
    more = f", and {facts.uncounted} times some of the last minute" if facts.uncounted else ""
    lines = [
        f"packets sent: {sum(map(len, facts.sent.values()))}, of which different: {len(facts.sent)}",
        f"kept in the journal: {len(facts.kept)}, of which different: {len(kept)}",
        f"sent while the program could not take them, and not kept: {len(excused)}",
        f"not kept without such a reason: {unexplained}; lost by damage, as the program says: {facts.lost}{more}",
    ]
    wrong = [f"{unexplained} packets were sent to a running program and are not kept"] if unexplained > lost else []
    wrong += [f"{strangers} readings are kept that nobody sent"] if strangers else []
    checked = [_line(name, facts, by_raw) for name in facts.stored]
    lines += [*_table(checked)]
    for line in checked:
        wrong += _wrong(line, lost)
    wrong += _wrong_slots(facts, by_raw)
    if facts.slots is not None:
        lines.append(f"slots of five minutes at PVOutput: {len(facts.slots)}")
    return Account(lines, wrong)


def _most_in_a_minute(sent: Iterable[Iterable[float]]) -> int:
    """Return how many packets were sent in any minute at most."""
    times = sorted(time for times in sent for time in times)
    return max((number - bisect_left(times, time - 60) for number, time in enumerate(times, 1)), default=0)


def _is_excused(facts: Facts, at: float) -> bool:
    return any(begin <= at <= end for begin, end in facts.excused)


def accepted(kept: Iterable[Kept], by_raw: Mapping[bytes, Packet]) -> Iterator[tuple[Kept, Packet]]:
    """Yield what counts of the readings, in order: none that came after a later one of its meter, and none twice."""
    newest: dict[str, int] = {}
    for one in kept:
        packet = by_raw.get(one.raw)
        if packet is not None and packet.number > newest.get(packet.serial, -1):
            newest[packet.serial] = packet.number
            yield one, packet


def _wanted(name: str, facts: Facts, by_raw: Mapping[bytes, Packet]) -> set[Identity]:
    """Return which readings a sink is to have: all, or those with which a sample ends."""
    if name == "counters":
        return {(one.serial, one.key) for one in facts.kept}
    begun: set[str] = set()
    wanted: set[Identity] = set()
    for one, packet in accepted(facts.kept, by_raw):
        if packet.serial in begun:
            wanted.add((one.serial, one.key))
        begun.add(packet.serial)
    return wanted


def _line(name: str, facts: Facts, by_raw: Mapping[bytes, Packet]) -> Line:
    stored, wanted = facts.stored[name], _wanted(name, facts, by_raw)
    dead, found = facts.dead_letters.get(name, set()), set(stored.readings)
    known = {(one.serial, one.key) for one in facts.kept}
    sums = expected_energy(facts, by_raw, is_from_second=stored.is_from_first_sample) if stored.energy else {}
    errors = {of: abs(stored.energy.get(of, 0.0) - count) for of, count in sums.items()}
    worst = max(errors.items(), key=lambda one: one[1], default=(("", ""), 0.0))
    counts_readings = bool(stored.readings)
    return Line(
        *(name, counts_readings, len(wanted), len(found & wanted), len(dead), facts.dropped.get(name, 0)),
        missing=len(wanted - found - dead) if counts_readings else 0,
        doubled=sum(count - 1 for count in stored.readings.values()),
        unknown=len(found - known),
        expected=sum(sums.values()) if sums else None,
        found=sum(value for of, value in stored.energy.items() if of in sums) if sums else None,
        worst=worst[1],
        worst_of="_".join(worst[0]),
        rounding=stored.rounding,
    )


def expected_energy(
    facts: Facts, by_raw: Mapping[bytes, Packet], *, is_from_second: bool = False
) -> dict[tuple[str, str], int]:
    """Return the net Ws of each channel, from the first (or second) packet of its meter that was kept to the last."""
    of_each: dict[str, list[Packet]] = {}
    for _, packet in accepted(facts.kept, by_raw):
        of_each.setdefault(packet.serial, []).append(packet)
    return {
        (serial, channel): count
        for serial, packets in of_each.items()
        for channel, count in net(add_up(packets[is_from_second:])).items()
    }


def _wrong(line: Line, lost: int) -> Iterator[str]:
    if line.doubled:
        yield f"{line.sink}: {line.doubled} readings are there twice"
    if line.missing > lost + line.dropped:
        yield f"{line.sink}: {line.missing} readings are missing"
    if line.unknown > lost:
        yield f"{line.sink}: {line.unknown} readings are there that the journal does not have"
    if line.expected is not None and line.worst > line.rounding and not (lost or line.dead_letters):
        yield f"{line.sink}: the energy of {line.worst_of} is wrong by {line.worst:.2f} Ws"


def _wrong_slots(facts: Facts, by_raw: Mapping[bytes, Packet]) -> Iterator[str]:
    """Yield what is wrong with the counter of each slot at PVOutput; the last one is perhaps not over.

    For a minute after its end a slot may wait for a meter that has not reached it, as one that was just restarted.
    """
    if facts.slots is None or facts.lost:
        return
    expected = expected_slots(facts, by_raw)
    newest = max((one.key for one in facts.kept if one.serial == facts.slots_of), default=0)
    for end, count in sorted(expected.items()):
        if end in facts.slots and abs(facts.slots[end] - count) > 1:
            yield f"pvoutput: slot {end} has {facts.slots[end]} Wh, expected {count:.1f}"
        elif end not in facts.slots and end * 1_000_000 + WAITED <= newest:
            yield f"pvoutput: slot {end} is missing"
    yield from (f"pvoutput: slot {end} was never measured" for end in facts.slots if end not in expected)


def expected_slots(facts: Facts, by_raw: Mapping[bytes, Packet]) -> dict[int, float]:
    """Return the Wh that the counter of each slot is to have; the first reading of all ends no interval."""
    slots: dict[int, float] = {}
    total, older = 0.0, None
    for one, packet in accepted(facts.kept, by_raw):
        if packet.serial != facts.slots_of:
            continue
        if older is None:
            total = float(packet.shown["ch1_aws"])
        else:
            total += packet.energy(older)["ch1_aws"]
            slots[-(-one.key // (SLOT * 1_000_000)) * SLOT] = total / 3600
        older = packet
    return slots


def _table(lines: Iterable[Line]) -> Iterator[str]:
    yield (
        f"{'sink':<10} {'wanted':>8} {'delivered':>9} {'dead letters':>12} {'dropped':>7} {'missing':>7} {'twice':>5} "
        f"{'energy expected, Ws':>21} {'found':>21} {'most of a channel off':>21}"
    )
    for line in lines:
        energy = f"{'-':>21} {'-':>21} {'-':>21}"
        if line.expected is not None and line.found is not None:
            energy = f"{line.expected:21,.0f} {line.found:21,.2f} {line.worst:21.4f}"
        delivered = f"{line.delivered:9}" if line.counts_readings else f"{'-':>9}"
        yield (
            f"{line.sink:<10} {line.wanted:8} {delivered} {line.dead_letters:12} {line.dropped:7} "
            f"{line.missing:7} {line.doubled:5} {energy}"
        )
