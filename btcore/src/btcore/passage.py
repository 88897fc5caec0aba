"""How a meter came from one reading to the next: it went on, it restarted, or these two do not belong together.

Pure: two readings go in, an explanation comes out. The meter's seconds counter measures; the time that passed between
the arrivals, and what the energy counters can have counted in it, only tell the explanations apart. What follows for
power and energy is `calculate.py`'s work.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from enum import Enum
from functools import lru_cache
from operator import itemgetter, sub

import attrs

from btcore.formats import Format, Number
from btcore.records import Reading

MOST_WATTS = 1_000_000
"""The most that one channel can measure, far above any panel: what would need more was not counted by this meter."""

USUAL_WATTS = 100_000
"""More than a channel measures for long."""

DELAY = 60
"""Seconds by which a packet is easily delayed on its way."""

HELD = 300
"""Seconds by which a packet may be held back until the next one comes: a meter sends at least every 255 s."""

JITTER = 5
"""Seconds by which packets arrive unevenly, without anything to explain."""

DRIFT = 1 / 1000
"""By how much a meter's clock and ours may differ, far above any crystal: 86 s a day."""


class Skip(Enum):
    """Why two readings give no sample."""

    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    OTHER_FORMAT = "packet format changed"
    ANEW = "counted anew"


class Passed(Enum):
    """How a meter came from one reading to the next."""

    ON = "went on"
    RESET = "restarted with its counters at zero"
    REBOOT = "restarted its seconds counter"


@attrs.frozen
class Lapse:
    """The time between two readings, and by how many seconds a packet must have been late for each explanation of it.

    `seconds` is the time by the meter's counter if it `went_on`; `apart` the time between the arrivals, by a clock that
    nobody set where both have one. Else the meter `restarted` in between and has been up since, or the newer reading is
    older than the other and arrived `late`. `ahead` is by how much more the meter's counter rose than time has passed.
    """

    seconds: int
    apart: float
    went_on: float
    restarted: float
    late: float

    @property
    def ahead(self) -> float:
        """Seconds that the meter would have lived through beyond those that passed, its drift allowed for."""
        return self.seconds - self.apart * (1 + DRIFT)


def lapse(older: Reading, newer: Reading) -> Lapse:
    """Tell the time between two readings."""
    modulus = 1 << older.format.seconds_bits
    up = newer.seconds
    ahead = (up - older.seconds) % modulus
    passed = max(apart(older, newer), 0.0)
    seconds = ahead
    if passed > ahead:
        seconds += modulus * round((passed - ahead) / modulus)  # it may turn over in a gap of months
    return Lapse(seconds, passed, abs(seconds - passed), max(up - passed, 0.0), modulus - ahead + passed)


def passage(older: Reading, newer: Reading) -> Passed | Skip:
    """Tell how the meter came from one reading to the other, by its seconds, reset count and energy counters."""
    return explain(older, newer, lapse(older, newer))


def explain(older: Reading, newer: Reading, between: Lapse) -> Passed | Skip:
    """Choose the explanation that needs the packets to have been delayed least; `ANEW` where there is none."""
    if newer.format is not older.format:
        return Skip.OTHER_FORMAT
    if _reset_count(newer) != _reset_count(older):
        return _after_reset(older, newer, between)
    if between.seconds == 0:
        same = _continues(older, newer, 1) or _continues(newer, older, 1)
        return Skip.DUPLICATE if same else _after_restart(older, newer, between)
    if between.late <= min(between.restarted + JITTER, between.went_on) and not _tally(newer, older, between.late)[1]:
        return Skip.OUT_OF_ORDER
    if between.went_on <= between.restarted + JITTER + DRIFT * between.apart:
        return Passed.ON if _went_on(older, newer, between) else Skip.ANEW
    return _after_restart(older, newer, between)


def apart(older: Reading, newer: Reading) -> float:
    """Seconds between the arrivals; by the computer's own time where no better clock was there at both."""
    if older.boot and older.boot == newer.boot:
        return (newer.steady - older.steady) / 1e6
    return (newer.time - older.time) / timedelta(seconds=1)


def _after_reset(older: Reading, newer: Reading, between: Lapse) -> Passed | Skip:
    """Explain a reset count that changed: a reset, a packet from before it, or another meter's."""
    if older.seconds + between.apart < between.restarted:
        return Skip.OUT_OF_ORDER  # from before the reset, though it arrived after the first packet since
    if between.restarted <= between.went_on:
        possible = between.restarted <= DELAY and _counts_from_zero(newer)
    else:
        possible = _went_on(older, newer, between, fallen=True)
    if possible:
        return Passed.RESET
    back = (_reset_count(older) - _reset_count(newer)) & older.format.reset_mask
    return Skip.OUT_OF_ORDER if back == 1 else Skip.ANEW


def _after_restart(older: Reading, newer: Reading, between: Lapse) -> Passed | Skip:
    """Explain seconds that do not go on from the older reading's."""
    if between.restarted > DELAY:
        return Skip.ANEW  # it is up for longer than since the older reading, and yet did not go on from it
    if any(rise < 0 for rise, _ in rises(older, newer)):
        return Passed.RESET if _counts_from_zero(newer) and not _stands(older, newer) else Skip.ANEW
    return Passed.REBOOT if _continues(older, newer, between.apart + DELAY) else Skip.ANEW


def _went_on(older: Reading, newer: Reading, between: Lapse, *, fallen: bool = False) -> bool:
    """Whether a meter can have counted on so far in the time: seconds and energy.

    `fallen`: lower counters say nothing, as they have been reset.
    """
    rose, not_possible = _tally(older, newer, between.seconds, fallen=fallen)
    if not not_possible:
        return between.ahead <= HELD
    # a channel that restarted by itself is believed only where the time is beyond doubt
    return not_possible <= rose and between.went_on <= DELAY + DRIFT * between.apart


def _continues(older: Reading, newer: Reading, seconds: float) -> bool:
    """Whether the energy counters are those of one meter, `seconds` later: no fewer of them went on than did not."""
    rose, not_possible = _tally(older, newer, seconds)
    return not_possible <= rose


def _tally(older: Reading, newer: Reading, seconds: float, *, fallen: bool = False) -> tuple[int, int]:
    """Count the channels that went on as they can have within so many seconds, and those that cannot have."""
    most = MOST_WATTS * seconds
    went_on = not_possible = 0
    take, ranges = _energies(newer.format)
    earlier, later = take(older.numbers), take(newer.numbers)
    if _only_rose(earlier, later, most):
        return len(later), 0
    for before, after, modulus in zip(earlier, later, ranges, strict=True):
        if before == after or before is None or after is None:
            continue
        if (after - before) % modulus <= most:
            went_on += 1
        elif after > before or not fallen:
            not_possible += 1
    return went_on, not_possible


def _only_rose(earlier: Sequence[Number], later: Sequence[Number], most: float) -> bool:
    """Whether all counters are known and went on or stood still: as nearly always, so it must be quick."""
    if None in earlier or None in later:
        return False
    steps = tuple(map(sub, later, earlier))
    return min(steps, default=0) >= 0 and max(steps, default=0) <= most


def _stands(older: Reading, newer: Reading) -> bool:
    """Whether any channel stands about where it stood, further than it comes from zero in the time."""
    usual = USUAL_WATTS * newer.seconds
    take, _ = _energies(newer.format)
    pairs = zip(take(older.numbers), take(newer.numbers), strict=True)
    return any(before and after is not None and max(before, usual) <= after < 2 * before for before, after in pairs)


def _counts_from_zero(newer: Reading) -> bool:
    """Whether all energy counters can have begun at zero when the seconds did."""
    most = MOST_WATTS * max(newer.seconds, 1)
    return all(value is None or value <= most for value in _energies(newer.format)[0](newer.numbers))


def came_before(older: Reading, newer: Reading) -> bool:
    """Whether the newer reading can be one from before the older, by its seconds and every energy counter."""
    modulus = 1 << older.format.seconds_bits
    behind = (older.seconds - newer.seconds) % modulus
    return 0 < behind < modulus // 2 and not _tally(newer, older, behind)[1]


def at_pace(older: Reading, newer: Reading) -> bool:
    """Whether a meter went on from one to the other in just the time that passed: nothing was held back."""
    between = lapse(older, newer)
    return between.went_on <= JITTER + DRIFT * between.apart and explain(older, newer, between) is Passed.ON


def told_energy(older: Reading, newer: Reading, passed: Passed) -> float:
    """Return about how much energy an explanation tells, of all channels together, in Ws: to compare it with others."""
    take, ranges = _energies(newer.format)
    after = [value or 0 for value in take(newer.numbers)]
    if passed is Passed.RESET:
        return sum(after)
    before = [value or 0 for value in take(older.numbers)]
    return sum((new - old) % modulus for old, new, modulus in zip(before, after, ranges, strict=True))


def _reset_count(reading: Reading) -> int:
    label = reading.format.reset_label
    return int(reading.get(label) or 0) & reading.format.reset_mask if label else 0


def rises(older: Reading, newer: Reading) -> Iterator[tuple[float, int]]:
    """Yield by how much each counter is higher than before, as far as known, and the range of that counter."""
    take, ranges = _counters(newer.format)
    for before, after, modulus in zip(take(older.numbers), take(newer.numbers), ranges, strict=True):
        if before is not None and after is not None:
            yield after - before, modulus


def rose(older: Reading, newer: Reading, seconds: float) -> bool:
    """Whether no counter fell, or rose by more than it can in so many seconds; one that is missing does not matter."""
    most = MOST_WATTS * seconds
    take, _ = _counters(newer.format)
    return not any(
        before != after and (before is None or after is None or not 0 < after - before <= most)
        for before, after in zip(take(older.numbers), take(newer.numbers), strict=True)
    )


Take = Callable[[tuple[Number, ...]], tuple[Number, ...]]
"""Takes some counters out of the numbers of a reading."""


@lru_cache(maxsize=64)
def _counters(format: Format) -> tuple[Take, tuple[int, ...]]:
    """Return what takes all counters of a format's channels, and their ranges."""
    labels = [(label, c.bits) for c in format.channels for label in (c.absolute, c.polarized) if label is not None]
    return _taking(format, labels)


@lru_cache(maxsize=64)
def _energies(format: Format) -> tuple[Take, tuple[int, ...]]:
    """Return what takes the counters of all energy, one a channel, and their ranges.

    The polarized ones say no more of who counted: one may restart alone.
    """
    return _taking(format, [(channel.absolute, channel.bits) for channel in format.channels])


def _taking(format: Format, labels: Sequence[tuple[str, int]]) -> tuple[Take, tuple[int, ...]]:
    places = [format.index[label] for label, _ in labels]
    several = len(places) > 1  # of a single place, itemgetter makes no tuple
    take = itemgetter(*places) if several else lambda numbers: tuple(numbers[place] for place in places)
    return take, tuple(1 << bits for _, bits in labels)
