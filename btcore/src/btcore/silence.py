"""Meters that fall silent, and come back: each is judged by its own habit, and told as one would want to read it.

Times are seconds of a clock that nobody sets, and that stands still while the computer sleeps. What comes that is no
packet is not looked at here.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from threading import Lock

import attrs

from btcore.outcome import length
from btcore.tally import Tally
from btcore.wording import counted

FLOOR = 60.0
"""Seconds for which no meter is held to be silent, however often it sends."""

TIMES = 6
"""Times its usual pause after which a meter is silent; twice its longest one lately, where that is more."""

INTERVALS = 9
"""Pauses of a meter that tell its habit, the last ones."""

FEW = 3
"""Pauses that have to be known before a meter has a habit."""

UNKNOWN = 3600.0
"""Seconds after which a meter without a habit is silent."""

MOST_METERS = 4096
"""Meters of one source that are watched; beyond it the one unheard for longest is not."""

EXPECTED = 300.0
"""Seconds after the start within which meters that were heard lately before it should be heard."""

LATELY = 86_400
"""Seconds before the start: what was heard within them is expected to be heard again."""

SINGLY = 8
"""Lines an hour, of meters that fall silent and of those that come back, each."""

MOST_NAMES = 3


@attrs.define
class _Meter:
    """When a meter was heard last, by both clocks, and its last pauses."""

    heard: float
    moment: float
    pauses: deque[float] = attrs.field(factory=lambda: deque(maxlen=INTERVALS))
    is_silent: bool = False

    @property
    def usual(self) -> float:
        """Its usual pause; 0 where it has no habit yet."""
        return median(self.pauses) if len(self.pauses) >= FEW else 0.0

    @property
    def patience(self) -> float:
        """For how long it may be silent."""
        return max(FLOOR, TIMES * self.usual, 2 * max(self.pauses)) if self.usual else UNKNOWN


class Silence:
    """Watches the meters of one source. Safe between threads."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Watch from now on."""
        self._log = log
        self._clock = clock
        self._lock = Lock()
        self._began = clock()
        self._meters: OrderedDict[str, _Meter] = OrderedDict()  # the one unheard for longest is the first
        self._expected: dict[str, float] = {}
        self._is_over = False
        self._silent = Tally(log=log, first=SINGLY, summary="{count} meters more fell silent; the last: {last}")
        self._back = Tally(
            log=log, level=logging.INFO, first=SINGLY, summary="{count} meters more are heard again; the last: {last}"
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

    def expect(self, heard: Mapping[str, float], moment: float | None = None) -> None:
        """Expect meters that were heard before the start, by when, in seconds since 1970."""
        now = time.time() if moment is None else moment
        self._expected = {serial: at for serial, at in heard.items() if 0 <= now - at < LATELY}

    def heard(self, serial: str, moment: float | None = None) -> None:
        """Take note of a packet that came just now; `moment` is in seconds since 1970."""
        with self._lock:
            now, meter = self._clock(), self._meters.get(serial)
            self._expected.pop(serial, None)
            at = time.time() if moment is None else moment
            if meter is None:
                meter = self._meters[serial] = _Meter(now, at)
            elif meter.is_silent:
                # this pause is no habit
                meter.is_silent = False
                pause = length(now - meter.heard)
                self._back.add(f"meter {serial} is heard again, after {pause}", serial)
            else:
                meter.pauses.append(now - meter.heard)
            meter.heard, meter.moment = now, at
            self._meters.move_to_end(serial)
            if len(self._meters) > MOST_METERS:
                self._meters.popitem(last=False)

    def end(self) -> None:
        """Watch no longer: the source has ended."""
        with self._lock:
            self._is_over = True
            self._silent.finish()
            self._back.finish()

    def look(self) -> None:
        """Tell which meters have fallen silent; called about each second, from any thread."""
        if self._is_over:
            return
        with self._lock:
            self._look_at_expected()
            overdue = list(self._overdue())
            for _, meter in overdue:
                meter.is_silent = True
            if overdue:
                self._tell(overdue)
            self._silent.look()
            self._back.look()

    def _overdue(self) -> Iterable[tuple[str, _Meter]]:
        now = self._clock()
        for serial, meter in self._meters.items():
            if now - meter.heard < FLOOR:
                return  # those behind it were heard later
            if not meter.is_silent and now - meter.heard >= meter.patience:
                yield serial, meter

    def _tell(self, overdue: list[tuple[str, _Meter]]) -> None:
        others = sum(not meter.is_silent for meter in self._meters.values())
        if len(overdue) > 1:
            names = _named([serial for serial, _ in overdue])
            whole = "" if others else "all "
            line = f"{whole}{len(overdue)} meters have fallen silent: {names}; {_where_to_look(others)}"
            self._silent.add(line, overdue[-1][0], len(overdue))
            return
        ((serial, meter),) = overdue
        since = length(self._clock() - meter.heard)
        usual = f", usually heard every {_pause(meter.usual)}" if meter.usual else ""
        at = time.strftime("%H:%M:%S", time.localtime(meter.moment))
        line = f"meter {serial} is silent for {since}{usual}; last heard at {at}; {_where_to_look(others)}"
        self._silent.add(line, serial)

    def _look_at_expected(self) -> None:
        if not self._expected or self._clock() - self._began < EXPECTED:
            return
        missing = sorted(self._expected.items(), key=lambda pair: -pair[1])
        self._expected = {}
        last = time.strftime("%Y-%m-%d %H:%M", time.localtime(missing[0][1]))
        who = f"meter {missing[0][0]} was" if len(missing) == 1 else f"{len(missing)} meters were"
        names = "" if len(missing) == 1 else f" ({_named([serial for serial, _ in missing])})"
        line = f"{who} heard before this start{names}, last at {last}, and not since {length(EXPECTED)}"
        self._silent.add(f"{line}; {_where_to_look(self.meters)}", missing[0][0], len(missing))


def _where_to_look(others: int) -> str:
    if others:
        return f"{counted(others, 'other meter')} of this source can be heard, so look at its power and its cable"
    return "nothing else is heard by this source, so look at the network or the line as well as at the meter's power"


def _named(serials: list[str]) -> str:
    more = len(serials) - MOST_NAMES
    return ", ".join(serials[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _pause(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < MOST_EXACT else length(seconds)


MOST_EXACT = 3.0
"""Seconds below which tenths of them matter."""
