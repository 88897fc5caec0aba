"""How a meter came from one reading to the next: it went on, it restarted, or these two do not belong together.

Pure: two readings go in, an explanation comes out. The meter's seconds counter measures; the time that passed between
the arrivals, and what the energy counters can have counted in it, only tell the explanations apart. What follows for
power and energy is `samples.py`'s work.
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

OVERDUE = 120
"""Seconds by which another way, such as a DashBox, may be behind: what it brings alone is no sign of a second meter."""

JITTER = 5
"""Seconds by which packets arrive unevenly, without anything to explain."""

SURELY = 100
"""By how many times more a counter must show than it can have risen since, for no other meter to show the same."""

DRIFT = 1 / 1000
"""By how much a meter's clock and ours may differ, far above any crystal: 86 s a day."""


Numbers = tuple[Number, ...]
Take = Callable[[Numbers], Numbers]
"""Takes some counters out of the numbers of a reading."""


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
    if newer.format is not older.format and not comparable(older.format, newer.format):
        return Skip.OTHER_FORMAT
    if _was_reset(older, newer):
        return _after_reset(older, newer, between)
    if between.seconds == 0:
        same = _continues(older, newer, 1) or _continues(newer, older, 1)
        return Skip.DUPLICATE if same else _after_restart(older, newer, between)
    if between.late <= min(between.restarted + JITTER, between.went_on) and not _tally(newer, older, between.late)[1]:
        return Skip.OUT_OF_ORDER
    if between.went_on <= between.restarted + JITTER + DRIFT * between.apart:
        return Passed.ON if _went_on(older, newer, between) else Skip.ANEW
    return _after_restart(older, newer, between)


def comparable(older: Format, newer: Format) -> bool:
    """Whether two formats can show the same counters: a GEM sends BIN32 on one port, and BIN48 on the other."""
    return older is newer or (older.seconds_bits == newer.seconds_bits and bool(_energies(older, newer).ranges))


def apart(older: Reading, newer: Reading) -> float:
    """Seconds between the arrivals; by the computer's own time where no better clock was there at both."""
    if older.boot and older.boot == newer.boot:
        return (newer.monotonic - older.monotonic) / 1e6
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


def _tally(
    older: Reading, newer: Reading, seconds: float, *, fallen: bool = False, watts: int = MOST_WATTS
) -> tuple[int, int]:
    """Count the channels that went on as they can have within so many seconds, and those that cannot have."""
    most = watts * seconds
    went_on = not_possible = 0
    shared = _energies(older.format, newer.format)
    earlier, later = shared.of(older, newer)
    if only_rose(earlier, later, most):
        return len(later), 0
    for before, after, modulus in zip(earlier, later, shared.ranges, strict=True):
        if before == after or before is None or after is None:
            continue
        if (after - before) % modulus <= most:
            went_on += 1
        elif after > before or not fallen:
            not_possible += 1
    return went_on, not_possible


def only_rose(earlier: Numbers, later: Numbers, most: float) -> bool:
    """Whether all counters are known and went on or stood still: as nearly always, so it must be quick."""
    if None in earlier or None in later:
        return False
    steps = tuple(map(sub, later, earlier))
    return min(steps, default=0) >= 0 and max(steps, default=0) <= most


def _stands(older: Reading, newer: Reading) -> bool:
    """Whether any channel stands about where it stood, further than it comes from zero in the time."""
    usual = USUAL_WATTS * newer.seconds
    pairs = zip(*_energies(older.format, newer.format).of(older, newer), strict=True)
    return any(before and after is not None and max(before, usual) <= after < 2 * before for before, after in pairs)


def _counts_from_zero(newer: Reading) -> bool:
    """Whether all energy counters can have begun at zero when the seconds did."""
    most = MOST_WATTS * max(newer.seconds, 1)
    energies = _energies(newer.format, newer.format).newer(newer.numbers)
    return all(value is None or value <= most for value in energies)


def came_before(older: Reading, newer: Reading) -> bool:
    """Whether the newer reading can be one from before the older, by its seconds and every energy counter."""
    modulus = 1 << older.format.seconds_bits
    behind = (older.seconds - newer.seconds) % modulus
    return 0 < behind < modulus // 2 and not _tally(newer, older, behind)[1]


def is_overdue(older: Reading, newer: Reading) -> bool:
    """Whether the newer reading can be one that a slower way brought: from shortly before the older, or soon after."""
    if not comparable(older.format, newer.format) or _was_reset(older, newer):
        return False
    between = lapse(older, newer)
    modulus = 1 << older.format.seconds_bits
    after = (newer.seconds - older.seconds) % modulus
    if after <= OVERDUE:
        late, first, second = between.apart - after, older, newer
    else:
        late, first, second, after = between.late, newer, older, modulus - after
    return -JITTER <= late <= OVERDUE and not _tally(first, second, after, watts=USUAL_WATTS)[1]


def at_pace(older: Reading, newer: Reading) -> bool:
    """Whether a meter went on from one to the other in just the time that passed: nothing was held back."""
    between = lapse(older, newer)
    return between.went_on <= JITTER + DRIFT * between.apart and explain(older, newer, between) is Passed.ON


def is_continued(older: Reading, newer: Reading) -> bool:
    """Whether it is certain that one meter sent both, whatever it calls itself: its counters are those of nobody else.

    They went on in the time that passed, by no more than is usual, and at least one is a hundred times that.
    """
    if not comparable(older.format, newer.format) or passage(older, newer) is not Passed.ON:
        return False
    most = USUAL_WATTS * max(apart(older, newer), JITTER)
    earlier, later = _energies(older.format, newer.format).of(older, newer)
    return only_rose(earlier, later, most) and max((value or 0 for value in earlier), default=0) > SURELY * most


def told_energy(older: Reading, newer: Reading, passed: Passed) -> float:
    """Return about how much energy an explanation tells, of all channels together, in Ws: to compare it with others."""
    shared = _energies(older.format, newer.format)
    before, after = ([value or 0 for value in numbers] for numbers in shared.of(older, newer))
    if passed is Passed.RESET:
        return sum(after)
    return sum((new - old) % modulus for old, new, modulus in zip(before, after, shared.ranges, strict=True))


def _was_reset(older: Reading, newer: Reading) -> bool:
    """Whether the reset count differs, where both readings have one."""
    if older.format.reset_label is None or older.format.reset_label != newer.format.reset_label:
        return False
    return _reset_count(older) != _reset_count(newer)


def _reset_count(reading: Reading) -> int:
    label = reading.format.reset_label
    return int(reading.get(label) or 0) & reading.format.reset_mask if label else 0


def rises(older: Reading, newer: Reading) -> Iterator[tuple[float, int]]:
    """Yield by how much each counter is higher than before, as far as known, and the range of that counter."""
    shared = _counters(older.format, newer.format)
    for before, after, modulus in zip(*shared.of(older, newer), shared.ranges, strict=True):
        if before is not None and after is not None:
            yield after - before, modulus


def rose(older: Reading, newer: Reading, seconds: float) -> bool:
    """Whether no counter fell, or rose by more than it can in so many seconds; one that is missing does not matter.

    Of two formats, which do not show the same counters, that is not so.
    """
    if older.format is not newer.format:
        return False
    most = MOST_WATTS * seconds
    earlier, later = _counters(older.format, newer.format).of(older, newer)
    return only_rose(earlier, later, most) or not any(
        before != after and (before is None or after is None or not 0 < after - before <= most)
        for before, after in zip(earlier, later, strict=True)
    )


@attrs.frozen
class _Shared:
    """The counters that two formats have in common: what takes them out of a reading of each, and their ranges."""

    older: Take
    newer: Take
    ranges: tuple[int, ...]

    def of(self, older: Reading, newer: Reading) -> tuple[Numbers, Numbers]:
        """Take them out of two readings."""
        return self.older(older.numbers), self.newer(newer.numbers)


@lru_cache(maxsize=256)
def _counters(older: Format, newer: Format) -> _Shared:
    """Return what takes all counters of the channels that both formats have, and their ranges."""
    return _taking(older, newer, [label for c in newer.channels for label in (c.absolute, c.polarized)])


@lru_cache(maxsize=256)
def _energies(older: Format, newer: Format) -> _Shared:
    """Return what takes the counters of all energy, one a channel, and their ranges.

    The polarized ones say no more of who counted: one may restart alone.
    """
    return _taking(older, newer, [channel.absolute for channel in newer.channels])


def _taking(older: Format, newer: Format, labels: Sequence[str | None]) -> _Shared:
    theirs = older.counters
    shared = [label for label in labels if label is not None and theirs.get(label) == newer.counters[label]]
    return _Shared(taking(older, shared), taking(newer, shared), tuple(1 << theirs[label] for label in shared))


def taking(format: Format, labels: Sequence[str]) -> Take:
    """Return what takes the numbers of these labels out of those of a reading."""
    places = [format.index[label] for label in labels]
    # of a single place, itemgetter makes no tuple
    return itemgetter(*places) if len(places) > 1 else lambda numbers: tuple(numbers[place] for place in places)
