# SPDX-License-Identifier: GPL-3.0-or-later
"""How a meter came from one reading to the next: it continued, it restarted, or the two do not belong together.

Pure: two readings go in, an explanation comes out. Intervals are measured by the meter's seconds counter. The time
between the arrivals, and how far the energy counters can have risen in it, only decide between the explanations. What
follows for power and energy is in `samples.py`.
"""

from enum import Enum
from math import inf

from btcore.calculate.counters import MAX_WATTS, all_rose, only_rose, rises, shared_absolute, tally
from btcore.classes import frozen
from btcore.formats import Format
from btcore.records import Reading, is_known_to_continue, note_continued

USUAL_WATTS = 100_000
"""The most that a channel measures for long."""

USUAL_DELAY = 60
"""Seconds by which a packet is easily delayed on its way."""

MAX_DELAY = 300
"""Seconds by which a packet may be held back until the next one comes: a meter sends at least every 255 s."""

SLOW_ROUTE_DELAY = 120
"""Seconds by which a second route, such as a DashBox, may be behind: such readings are no sign of a second meter."""

JITTER = 5
"""Seconds by which packets always arrive unevenly."""

UNIQUE_RATIO = 100
"""A counter that shows so many times what it can have risen by since the older reading is that of no other meter."""

MIN_PLAIN_BITS = 8
"""Bits of a seconds counter that does not overflow within a few times `JITTER`."""

MAX_DRIFT = 1 / 1000
"""By how much a meter's clock may differ from the computer's, far above any crystal: 86 s a day."""


class NoSample(Enum):
    """Why two readings give no sample."""

    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out of order"
    OTHER_FORMAT = "packet format changed"
    NEW_BASELINE = "new baseline"


class Transition(Enum):
    """How a meter came from one reading to the next."""

    CONTINUED = "continued"
    RESET = "restarted with its counters at zero"
    REBOOT = "restarted its seconds counter"


@frozen
class Elapsed:
    """The time between two readings, and by how many seconds a packet must have been late for each explanation of it.

    `seconds` is the time by the meter's counter, if the meter continued. `arrival_seconds` is the time between the
    arrivals, by a clock that nobody sets if both readings have one; `seconds` is the same where the meter sends no
    counter. The delays: `if_continued`; `if_restarted`, if the meter restarted in between and has been running since;
    `if_older`, if the newer reading is older than the other.
    """

    seconds: float
    arrival_seconds: float
    if_continued: float
    if_restarted: float
    if_older: float

    @property
    def ahead(self) -> float:
        """By how many seconds the meter's counter rose more than time has passed, with drift allowed for."""
        return self.seconds - self.arrival_seconds * (1 + MAX_DRIFT)


def elapsed_between(older: Reading, newer: Reading) -> Elapsed:
    """Return the time between two readings."""
    if not newer.format.has_seconds:
        return _elapsed_between_arrivals(older, newer)
    modulus = 1 << older.format.seconds_bits
    up = newer.seconds
    ahead = (up - older.seconds) % modulus
    passed = max(seconds_between_arrivals(older, newer), 0.0)
    seconds = ahead
    if passed > ahead:
        seconds += modulus * round((passed - ahead) / modulus)  # it may overflow within a gap of months
    return Elapsed(seconds, passed, abs(seconds - passed), max(up - passed, 0.0), modulus - ahead + passed)


def _elapsed_between_arrivals(older: Reading, newer: Reading) -> Elapsed:
    """Return the time between readings of a meter without a seconds counter: no packet of it is known to be late."""
    passed = round(max(seconds_between_arrivals(older, newer), 0.0), 3)
    return Elapsed(passed, passed, 0.0, inf, inf)


def transition_between(older: Reading, newer: Reading) -> Transition | NoSample:
    """Return how the meter came from one reading to the other, by its seconds, reset count and energy counters."""
    return explain(older, newer, elapsed_between(older, newer))


def explain(older: Reading, newer: Reading, elapsed: Elapsed) -> Transition | NoSample:
    """Return the explanation for which the packets were delayed least; `NEW_BASELINE` if there is none."""
    if newer.format is not older.format and not comparable(older.format, newer.format):
        return NoSample.OTHER_FORMAT
    if not newer.format.has_seconds:
        return _explain_by_counters(older, newer, elapsed)
    return _explain_by_seconds(older, newer, elapsed)


def _explain_by_seconds(older: Reading, newer: Reading, elapsed: Elapsed) -> Transition | NoSample:
    if _was_reset(older, newer):
        return _after_reset(older, newer, elapsed)
    if elapsed.seconds == 0:
        same = _continues(older, newer, 1) or _continues(newer, older, 1)
        return NoSample.DUPLICATE if same else _after_restart(older, newer, elapsed)
    if elapsed.if_older <= min(elapsed.if_restarted + JITTER, elapsed.if_continued):
        _, impossible = tally(newer, older, elapsed.if_older)
        if not impossible:
            return NoSample.OUT_OF_ORDER
    if elapsed.if_continued <= elapsed.if_restarted + JITTER + MAX_DRIFT * elapsed.arrival_seconds:
        return Transition.CONTINUED if _can_continue(older, newer, elapsed) else NoSample.NEW_BASELINE
    return _after_restart(older, newer, elapsed)


def _explain_by_counters(older: Reading, newer: Reading, elapsed: Elapsed) -> Transition | NoSample:
    """Explain two readings of a meter without a seconds counter: by its energy counters and the times of arrival.

    Counters that fell restarted, if they can have counted so far since the older reading.
    """
    if elapsed.seconds == 0:
        return NoSample.DUPLICATE if older.numbers == newer.numbers else NoSample.OUT_OF_ORDER
    _, impossible = tally(older, newer, elapsed.seconds)
    if not impossible:
        return Transition.CONTINUED
    shared = shared_absolute(older.format, newer.format)
    pairs = zip(*shared.numbers_of(older, newer), strict=True)
    fell = [after for before, after in pairs if before is not None and after is not None and after < before]
    max_count = MAX_WATTS * (elapsed.seconds + USUAL_DELAY)
    is_reset = len(fell) >= impossible and max(fell, default=0) <= max_count
    return Transition.RESET if is_reset else NoSample.NEW_BASELINE


def continues_plainly(older: Reading, newer: Reading) -> bool:
    """Whether a meter continued, and each counter is known and only rose: the lifetime stays as far ahead as it is.

    That is found out once, by whoever asks first, nearly always the source. Nearly always it is beyond any doubt, as no
    packet was late: to follow one of a GEM then takes 16 µs, where the long way takes 28. A recording without times
    has others than the meter counted, so all of its readings go the long way, but go it once.
    """
    return seconds_continued_plainly(older, newer) > 0


def seconds_continued_plainly(older: Reading, newer: Reading) -> int:
    """Return the seconds by the meter's counter where it continued plainly; 0 where it has to be examined."""
    if is_known_to_continue(newer, older):
        return newer.seconds - older.seconds
    form = older.format
    if form is not newer.format or form.seconds_bits < MIN_PLAIN_BITS:
        return 0
    before, after = older._numbers or older.numbers, newer._numbers or newer.numbers  # noqa: SLF001 - no property's call
    reset = form._reset  # noqa: SLF001 - where its reset count is: nearly always it is the same
    if reset >= 0 and before[reset] != after[reset] and _was_reset(older, newer):
        return 0
    at = form._seconds  # noqa: SLF001 - as above
    seconds = int((after[at] or 0) - (before[at] or 0))
    if seconds <= 0 or not only_rose(form, before, after, seconds):
        return 0
    passed = seconds_between_arrivals(older, newer)
    if abs(seconds - passed) > JITTER and not _is_continued_late(older, newer, seconds, max(passed, 0.0)):
        return 0
    note_continued(newer, older)
    return seconds


def _is_continued_late(older: Reading, newer: Reading, seconds: int, passed: float) -> bool:
    """Whether `explain` says that the meter continued, of readings whose counters can only have risen in the seconds.

    As long as the seconds counter cannot have overflowed, the newer one is no older packet, and nothing but the times
    is left to be looked at: 1 µs, where `explain` takes 10.
    """
    late = seconds - passed
    if 2 * abs(late) >= 1 << older.format.seconds_bits:
        elapsed = elapsed_between(older, newer)
        return elapsed.seconds == seconds and explain(older, newer, elapsed) is Transition.CONTINUED
    if_restarted = max(newer.seconds - passed, 0.0)
    is_likelier = abs(late) <= if_restarted + JITTER + MAX_DRIFT * passed
    return is_likelier and seconds - passed * (1 + MAX_DRIFT) <= MAX_DELAY


def comparable(older: Format, newer: Format) -> bool:
    """Whether two formats can show the same counters: a GEM sends BIN32 on one port, and BIN48 on the other."""
    return older is newer or (older.seconds_bits == newer.seconds_bits and bool(shared_absolute(older, newer).ranges))


def seconds_between_arrivals(older: Reading, newer: Reading) -> float:
    """Return the seconds between the arrivals; by the time of day if the two have no better clock in common."""
    if older.boot and older.boot == newer.boot:
        return (newer.monotonic - older.monotonic) / 1e6
    return (newer.time - older.time).total_seconds()


def _after_reset(older: Reading, newer: Reading, elapsed: Elapsed) -> Transition | NoSample:
    """Explain a reset count that changed: a reset, a packet from before the reset, or a packet of another meter."""
    if older.seconds + elapsed.arrival_seconds < elapsed.if_restarted:
        return NoSample.OUT_OF_ORDER  # from before the reset, though it arrived after the first packet since
    if elapsed.if_restarted <= elapsed.if_continued:
        possible = elapsed.if_restarted <= USUAL_DELAY and _counts_from_zero(newer)
    else:
        possible = _can_continue(older, newer, elapsed, reset=True)
    if possible:
        return Transition.RESET
    back = (_reset_count(older) - _reset_count(newer)) & older.format.reset_mask
    return NoSample.OUT_OF_ORDER if back == 1 else NoSample.NEW_BASELINE


def _after_restart(older: Reading, newer: Reading, elapsed: Elapsed) -> Transition | NoSample:
    """Explain a seconds counter that does not continue from the older reading's."""
    if elapsed.if_restarted > USUAL_DELAY:
        return NoSample.NEW_BASELINE  # it runs for longer than since the older reading, and yet did not continue it
    if any(rise < 0 for rise, _ in rises(older, newer)):
        is_reset = _counts_from_zero(newer) and not _keeps_count(older, newer)
        return Transition.RESET if is_reset else NoSample.NEW_BASELINE
    is_reboot = _continues(older, newer, elapsed.arrival_seconds + USUAL_DELAY)
    return Transition.REBOOT if is_reboot else NoSample.NEW_BASELINE


def _can_continue(older: Reading, newer: Reading, elapsed: Elapsed, *, reset: bool = False) -> bool:
    """Whether a meter can have counted so far in the time: seconds and energy.

    `reset`: counters that are lower prove nothing, as they were reset.
    """
    possible, impossible = tally(older, newer, elapsed.seconds, reset=reset)
    if not impossible:
        return elapsed.ahead <= MAX_DELAY
    # that a channel restarted alone is believed only if there is no doubt about the time
    is_certain = elapsed.if_continued <= USUAL_DELAY + MAX_DRIFT * elapsed.arrival_seconds
    return impossible <= possible and is_certain


def _continues(older: Reading, newer: Reading, seconds: float) -> bool:
    """Whether the energy counters are those of one meter, `seconds` later: at most half of them contradict that."""
    possible, impossible = tally(older, newer, seconds)
    return impossible <= possible


def _keeps_count(older: Reading, newer: Reading) -> bool:
    """Whether any channel shows about what it showed before, and more than it can have counted from zero."""
    usual = USUAL_WATTS * newer.seconds
    pairs = zip(*shared_absolute(older.format, newer.format).numbers_of(older, newer), strict=True)
    return any(before and after is not None and max(before, usual) <= after < 2 * before for before, after in pairs)


def _counts_from_zero(newer: Reading) -> bool:
    """Whether all energy counters can have begun at zero when the seconds counter did."""
    max_count = MAX_WATTS * max(newer.seconds, 1)
    energies = shared_absolute(newer.format, newer.format).newer(newer.numbers)
    return all(value is None or value <= max_count for value in energies)


def precedes(reading: Reading, other: Reading) -> bool:
    """Whether a reading can be from before another one, by its seconds and every energy counter."""
    modulus = 1 << other.format.seconds_bits
    behind = (other.seconds - reading.seconds) % modulus
    if not 0 < behind < modulus // 2:
        return False
    _, impossible = tally(reading, other, behind)
    return not impossible


def is_delayed(reading: Reading, last: Reading) -> bool:
    """Whether a slower route may have brought a reading: it is from shortly before the last one, or soon after."""
    if not comparable(last.format, reading.format) or _was_reset(last, reading) or not reading.format.has_seconds:
        return False
    elapsed = elapsed_between(last, reading)
    modulus = 1 << last.format.seconds_bits
    after = (reading.seconds - last.seconds) % modulus
    if after <= SLOW_ROUTE_DELAY:
        late, first, second = elapsed.arrival_seconds - after, last, reading
    else:
        late, first, second, after = elapsed.if_older, reading, last, modulus - after
    if not -JITTER <= late <= SLOW_ROUTE_DELAY:
        return False
    _, impossible = tally(first, second, after, watts=USUAL_WATTS)
    return not impossible


def continues_on_time(older: Reading, newer: Reading) -> bool:
    """Whether a meter continued from one to the other in exactly the time that passed: nothing was delayed."""
    elapsed = elapsed_between(older, newer)
    is_on_time = elapsed.if_continued <= JITTER + MAX_DRIFT * elapsed.arrival_seconds
    return is_on_time and explain(older, newer, elapsed) is Transition.CONTINUED


def is_same_meter(older: Reading, newer: Reading) -> bool:
    """Whether one meter certainly sent both, whatever their serial numbers: no other has such counters.

    They rose in the time that passed by no more than is usual, and at least one shows a hundred times that.
    """
    if not comparable(older.format, newer.format):
        return False
    max_rise = USUAL_WATTS * max(seconds_between_arrivals(older, newer), JITTER)
    earlier, later = shared_absolute(older.format, newer.format).numbers_of(older, newer)
    if not all_rose(earlier, later, max_rise):  # nearly always, of two meters: nothing that takes longer is asked
        return False
    highest = max((value or 0 for value in earlier), default=0)
    return highest > UNIQUE_RATIO * max_rise and transition_between(older, newer) is Transition.CONTINUED


def implied_energy(older: Reading, newer: Reading, transition: Transition) -> float:
    """Return the energy that a transition implies, roughly, of all channels in Ws: to compare it with other ones."""
    shared = shared_absolute(older.format, newer.format)
    before, after = ([value or 0 for value in numbers] for numbers in shared.numbers_of(older, newer))
    if transition is Transition.RESET:
        return sum(after)
    return sum((new - old) % modulus for old, new, modulus in zip(before, after, shared.ranges, strict=True))


def _was_reset(older: Reading, newer: Reading) -> bool:
    """Whether the reset count differs, if both readings have one."""
    label = older.format.reset_label
    if label is None or label != newer.format.reset_label:
        return False
    if older.get(label) == newer.get(label):  # nearly always so
        return False
    return _reset_count(older) != _reset_count(newer)


def _reset_count(reading: Reading) -> int:
    label = reading.format.reset_label
    return int(reading.get(label) or 0) & reading.format.reset_mask if label else 0
