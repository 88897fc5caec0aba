# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to the program and to those that it delivers to, and when: all of it from one seed, beforehand."""

from collections.abc import Iterator, Sequence
from random import Random

import attrs

KINDS = {
    "kill": 5,
    "end": 2,  # in order, and started again
    "stop": 3,  # SIGSTOP, and SIGCONT
    "stopped-kill": 1,
    "full-disk": 2,
    "full-disk-kill": 1,
    "damage": 5,  # to the journal, while the program runs
    "damage-at-rest": 3,
    "clock": 3,
    "restart-meter": 2,
}
"""What is done to the program, its disk, its clock or a meter, and how often each."""

TROUBLES = ("down", "errors", "lost-answers", "hangs", "slow")
"""What a service does; "lost-answers" has stored what it was sent, and nobody hears of it."""

DATABASE_TROUBLES = ("killed", "stopped", "cut", "locked")
FILE_TROUBLES = ("locked",)

DAMAGES = (
    *("removed", "log removed", "index removed", "all removed", "directory removed", "replaced", "tail removed"),
    *("tail emptied", "tail cut in half", "tail garbled", "tail's beginning garbled", "tail all noise"),
)
"""Under the running program these cost nothing: docs/guarantees.md."""

COSTLY = (
    *("emptied", "cut in half", "log emptied", "log cut in half", "log garbled", "log's beginning garbled"),
    *("beginning garbled", "page garbled", "half zeros", "all noise", "index page garbled"),
)
"""These may cost readings that are no longer in memory, which the program counts."""

DAMAGES_AT_REST = ("index removed", "index page garbled", "beginning garbled")
"""After a kill these cost nothing."""

COSTLY_AT_REST = ("log removed", "tail removed", "tail garbled", "page garbled", "cut in half")
"""After a kill these cost readings, of which the program says how many. Where all was removed, nobody knows."""

SHARE_OF_COSTLY = 0.5

STEPS = (-86_400, -3600, -60, 60, 3600, 86_400)
"""Seconds by which the clock is set; forward and back in turns, so that it stays within a day of the right time."""


@attrs.frozen
class Fault:
    """One thing that is done, `at` seconds after the beginning: `what` says more, `whose` to which sink."""

    at: float
    kind: str
    seconds: float = 0.0
    what: str = ""
    whose: str = ""

    def __str__(self) -> str:
        """Describe it in a line."""
        length = f" for {self.seconds:.1f} s" if self.seconds else ""
        return (
            f"{self.at:7.1f} s  {self.whose or 'btcore':<9} {self.kind}{f' ({self.what})' if self.what else ''}{length}"
        )


def make_schedule(
    seed: int, seconds: float, services: Sequence[str], *, pause: float, is_costly: bool = False
) -> list[Fault]:
    """Make a schedule: faults of the program, some `pause` seconds apart, and those of each sink beside them."""
    random = Random(seed)
    found = [*_of_the_program(random, seconds, pause, is_costly=is_costly)]
    for name in services:
        found += _of_a_sink(random, seconds, pause, name)
    return sorted(found, key=lambda fault: fault.at)


def _of_the_program(random: Random, seconds: float, pause: float, *, is_costly: bool) -> Iterator[Fault]:
    at, clock, kinds = pause, 0, list[str]()
    while at < seconds:
        if not kinds:  # each kind comes before any comes again
            kinds = [kind for kind, times in KINDS.items() for _ in range(times)]
            random.shuffle(kinds)
        kind = kinds.pop()
        length, what = 0.0, ""
        if kind in ("stop", "stopped-kill", "full-disk", "full-disk-kill"):
            length = random.uniform(0.3, 3.0)
        elif kind == "damage":
            what = random.choice(COSTLY if is_costly and random.random() < SHARE_OF_COSTLY else DAMAGES)
        elif kind == "damage-at-rest":
            what = random.choice(COSTLY_AT_REST if is_costly and random.random() < SHARE_OF_COSTLY else DAMAGES_AT_REST)
        elif kind == "clock":
            step = random.choice([step for step in STEPS if abs(clock + step) <= 86_400])
            clock, what = clock + step, f"{step:+}"
        elif kind == "restart-meter":
            what = str(random.randrange(1000))
        yield Fault(at, kind, length, what)
        at += length + random.uniform(0.5, 1.5) * pause


def _of_a_sink(random: Random, seconds: float, pause: float, name: str) -> Iterator[Fault]:
    at = random.uniform(0.5, 2) * pause
    while at < seconds:
        troubles = {"mariadb": DATABASE_TROUBLES, "counters": FILE_TROUBLES, "samples": FILE_TROUBLES}.get(
            name, TROUBLES
        )
        length = random.choice((random.uniform(0.2, 2.0), random.uniform(2.0, 8.0)))
        yield Fault(at, random.choice(troubles), length, whose=name)
        at += length + random.uniform(0.5, 3) * pause
