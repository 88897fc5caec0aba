# SPDX-License-Identifier: GPL-3.0-or-later
"""Meters that fall silent, and are heard again: each is compared with its own usual interval.

Times are seconds of a monotonic clock, which stands still while the computer sleeps. Bytes without a packet are not
looked at here.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Lock

from btcore.classes import define, field
from btcore.logs.tally import SummarizedCount
from btcore.text import format_duration, plural

MIN_SILENCE = 60.0
"""Least seconds after which a meter counts as silent, however often it sends."""

USUAL_INTERVALS = 6
"""A meter is silent after this many of its usual intervals, or after twice its longest recent one."""

MAX_INTERVALS = 9
"""Last intervals of a meter that are remembered."""

MIN_INTERVALS = 3
"""Intervals after which the usual interval of a meter is known."""

AT_ONCE = 1e-6
"""Seconds between two packets that came in at once: no interval, but not 0, which would be an unknown one."""

DEFAULT_SILENCE = 3600.0
"""Seconds after which a meter without a usual interval is silent."""

MAX_METERS = 4096
"""Meters of one source that are watched; above the limit, the one unheard for longest is forgotten."""

EXPECTED_WITHIN = 300.0
"""Seconds after the start within which meters of the last run should be heard."""

RECENTLY = 86_400
"""Seconds before the start: a meter that was heard within them is expected."""

MAX_GATHER_TIME = 60.0
"""Most seconds for which a warning waits, to see whether other meters fall silent too."""

SUSPENDED = 10.0
"""Seconds without a check after which the program or computer was suspended: no meter could be heard."""

LINES_PER_HOUR = 8
"""Lines an hour about meters that fall silent, and as many about meters that are heard again."""

MAX_NAMES = 3


@define
class _Meter:
    """When a meter was heard last, by both clocks, and its last intervals."""

    heard: float
    moment: float
    intervals: deque[float] = field(factory=lambda: deque(maxlen=MAX_INTERVALS))
    is_silent: bool = False
    silences: tuple[float, ...] = ()
    """Lengths of silences with one packet between: several of them are its new usual interval."""

    @property
    def usual(self) -> float:
        """Its usual interval; 0 where it is not known yet."""
        return _median(self.intervals) if len(self.intervals) >= MIN_INTERVALS else 0.0

    @property
    def max_silence(self) -> float:
        """After how many seconds it counts as silent."""
        return (
            max(MIN_SILENCE, USUAL_INTERVALS * self.usual, 2 * max(self.intervals)) if self.usual else DEFAULT_SILENCE
        )

    @property
    def due(self) -> float:
        """When it should have been heard again at the latest."""
        return self.heard + 2 * self.usual

    def add_interval(self, interval: float) -> None:
        """Remember an interval."""
        self.intervals.append(interval)
        self.silences = ()

    def end_silence(self, interval: float) -> None:
        """End its silence, which is no interval, unless it recurs after single packets."""
        self.is_silent = False
        self.silences = (*self.silences, interval)[-MAX_INTERVALS:]
        if len(self.silences) > 1:
            self.intervals = deque(self.silences, MAX_INTERVALS)


class SilenceWatch:
    """Watches the meters of one source. Safe between threads."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch from now on."""
        self._log = log
        self._clock = clock
        self._lock = Lock()
        self._began = self._checked = self._free = clock()  # `_free` is when the program was suspended last
        self._meters: OrderedDict[str, _Meter] = OrderedDict()  # the one unheard for longest is the first
        self._expected: dict[str, float] = {}
        self._missed: dict[str, float] = {}  # those that were expected, and reported
        self._is_over = False
        self._silent = SummarizedCount(
            log=log, first=LINES_PER_HOUR, summary="{count} more meters fell silent; last: {last}", clock=clock
        )
        again = "{count} more meters are heard again; last: {last}"
        self._heard_again = SummarizedCount(
            log=log, level=logging.INFO, first=LINES_PER_HOUR, summary=again, clock=clock
        )

    @property
    def meters(self) -> int:
        """How many meters were heard."""
        return len(self._meters)

    @property
    def silent(self) -> list[str]:
        """The meters that are silent now, the one unheard for longest first."""
        with self._lock:
            return [serial for serial, meter in self._meters.items() if meter.is_silent]

    def overdue(self) -> dict[str, tuple[float | None, float | None]]:
        """Return of each meter its usual interval, if it is known, and for how long it has been silent, if it is."""
        with self._lock:
            now = self._clock()
            return {
                serial: (meter.usual or None, now - meter.heard if meter.is_silent else None)
                for serial, meter in self._meters.items()
            }

    def missed(self) -> dict[str, float]:
        """Return the meters that an earlier run heard and this one did not, with when they were heard last."""
        with self._lock:
            return dict(self._missed)

    def expect(self, heard: Mapping[str, float], moment: float | None = None) -> None:
        """Expect meters that were heard before the start, by when, in seconds since 1970."""
        now = time.time() if moment is None else moment
        with self._lock:  # a meter's own clock may be ahead
            lately = {serial: at for serial, at in heard.items() if abs(now - at) < RECENTLY}
            for serial, at in list(lately.items()):
                if lately.get(before := _first_name(serial), at) < at - MIN_SILENCE:  # the name that it had at first
                    del lately[before]
            self._expected = lately

    def heard(self, serial: str, moment: float | None = None, packets: int = 1) -> None:
        """Record a packet, or several, that came just now; `moment` is in seconds since 1970."""
        with self._lock:
            now, meter = self._clock(), self._meters.get(serial)
            at = time.time() if moment is None else moment
            self._expected.pop(serial, None)
            if serial in self._missed:
                before = _format_time(self._missed.pop(serial))
                self._heard_again.add(
                    f"meter {serial} is heard again; before this start it was last heard at {before}", serial
                )
            if meter is None:
                # two meters of one number are told apart from now on: which this name was until now shows itself
                self._meters.pop(_first_name(serial), None)
                meter = self._meters[serial] = _Meter(now, at)
            elif meter.is_silent:
                self._heard_again.add(
                    f"meter {serial} is heard again, after {format_duration(now - meter.heard)}", serial
                )
                meter.end_silence(now - meter.heard)
            else:
                meter.add_interval(now - meter.heard)
            for _ in range(min(packets - 1, MAX_INTERVALS)):
                meter.add_interval(AT_ONCE)
            meter.heard, meter.moment = now, at
            self._meters.move_to_end(serial)
            if len(self._meters) > MAX_METERS:
                self._meters.popitem(last=False)

    def finish(self) -> None:
        """Stop watching: the source has ended."""
        with self._lock:
            self._is_over = True
            self._silent.report_rest()
            self._heard_again.report_rest()

    def check(self) -> None:
        """Log which meters have fallen silent; called about every second, from any thread."""
        if self._is_over:
            return
        with self._lock:
            now = self._clock()
            if now - self._checked > SUSPENDED:
                self._free = now
            self._checked = now
            self._check_expected(now)
            overdue = dict(self._overdue(now))
            if overdue and not self._is_in_doubt(overdue, now):
                self._report(overdue, now)
            self._silent.report_due()
            self._heard_again.report_due()

    def _overdue(self, now: float) -> Iterable[tuple[str, _Meter]]:
        for serial, meter in self._meters.items():
            if now - meter.heard < MIN_SILENCE:
                return  # those behind it were heard later
            if not meter.is_silent and self._excess(meter, now) >= 0:
                yield serial, meter

    def _excess(self, meter: _Meter, now: float) -> float:
        """Return for how many seconds a meter has been silent above its limit; below 0 where it is not silent."""
        return now - max(meter.heard, self._free) - meter.max_silence

    def _others(self, overdue: Mapping[str, _Meter]) -> list[_Meter]:
        return [meter for serial, meter in self._meters.items() if not meter.is_silent and serial not in overdue]

    def _is_in_doubt(self, overdue: Mapping[str, _Meter], now: float) -> bool:
        """Whether other meters may have fallen silent too: they are late, and were not heard since."""
        if any(self._excess(meter, now) >= MAX_GATHER_TIME for meter in overdue.values()):
            return False
        due = max(meter.due for meter in overdue.values())
        return any(meter.usual and meter.heard <= due and now > meter.due for meter in self._others(overdue))

    def _report(self, overdue: Mapping[str, _Meter], now: float) -> None:
        due = max(meter.due for meter in overdue.values())
        others = sum(meter.heard > due for meter in self._others(overdue))  # the way that they come by is sound
        for meter in overdue.values():
            meter.is_silent = True
        last = list(overdue)[-1]
        if len(overdue) > 1:
            all_of = "all " if len(overdue) == len(self._meters) else ""
            line = f"{all_of}{len(overdue)} meters have fallen silent: {_list_names(list(overdue))}; {_advice(others)}"
            self._silent.add(line, last, len(overdue))
            return
        meter = overdue[last]
        usual = f", usually heard every {_format_interval(meter.usual)}" if meter.usual else ""
        at = time.strftime("%H:%M:%S", time.localtime(meter.moment))
        since = format_duration(now - meter.heard)
        line = f"meter {last} is silent for {since}{usual}; last heard at {at}; {_advice(others)}"
        self._silent.add(line, last)

    def _check_expected(self, now: float) -> None:
        if not self._expected or now - max(self._began, self._free) < EXPECTED_WITHIN:
            return
        missing = sorted(self._expected.items(), key=lambda pair: -pair[1])
        self._missed, self._expected = self._expected, {}
        last = _format_time(missing[0][1])
        who = f"meter {missing[0][0]} was" if len(missing) == 1 else f"{len(missing)} meters were"
        names = "" if len(missing) == 1 else f" ({_list_names([serial for serial, _ in missing])})"
        span = format_duration(EXPECTED_WITHIN)
        line = f"{who} heard before this start{names}, last at {last}, and not in the {span} since"
        self._silent.add(f"{line}; {_advice(self.meters)}", missing[0][0], len(missing))


def _first_name(serial: str) -> str:
    """Return the name that a meter had until it was told apart from another of its number; "" where it was not."""
    first, _, number = serial.rpartition("-")
    return first if number.isdigit() else ""


def _advice(others: int) -> str:
    if others:
        return f"{plural(others, 'other meter')} of this source can be heard: check the power and the cable"
    return "this source hears no other meter: check the network or the line, and the meter's power"


def _format_time(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _list_names(serials: list[str]) -> str:
    more = len(serials) - MAX_NAMES
    return ", ".join(serials[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _format_interval(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < MAX_WITH_TENTHS else format_duration(seconds)


MAX_WITH_TENTHS = 3.0
"""Seconds below which an interval is written with tenths."""


def _median(values: Collection[float]) -> float:
    """Return the median; `statistics` would import fractions and decimals for it."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
