# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of a meter whose counters rise as a test says, and the samples between them: for tests of calculation."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs
from hypothesis import strategies as st

from btcore import FORMATS, Format, Number, Polarity, Reading, Sample
from btcore.calculate.samples import between

MORNING = datetime(2026, 6, 21, 6, tzinfo=UTC)
ECM, GEM, ABS = FORMATS["ecm1240bin"], FORMATS["gem48pbin"], FORMATS["gem32abin"]
SECONDS_MODULUS = 1 << 24
DAY = 86_400
POLARITIES: tuple[Polarity, ...] = ("brultech", "btmon")


def reading_at(secs: int, at: float = 0, form: Format = ECM, /, **values: Number) -> Reading:
    """Make a reading of a meter that shows these values, and zeros for all else, received so long after `MORNING`."""
    numbers = tuple({"secs": secs % SECONDS_MODULUS, **values}.get(label, 0) for label in form.labels)
    return Reading(MORNING + timedelta(seconds=at), form, "312345", b"", numbers=numbers)


def sample_between(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample:
    """Return the sample between two readings that must have one."""
    made = between(older, newer, polarity)
    assert isinstance(made, Sample)
    return made


def powers_of(made: Sample) -> dict[str, Number]:
    """Return all powers that are known."""
    return {label: value for label, value in made.values.items() if label.endswith("w") and value is not None}


def energies_of(made: Sample | None) -> dict[str, Number]:
    """Return all energies of the interval."""
    assert made is not None
    return {label: value for label, value in made.values.items() if label.endswith("_dwh")}


def total_energies(samples: Sequence[Sample]) -> dict[str, Number]:
    """Add up the energies of samples."""
    return {label: sum(made.values[label] or 0 for made in samples) for label in energies_of(samples[0])}


COUNTER_BITS = {counter: 32 if counter.startswith("aux") else 40 for counter in ECM.labels if counter.endswith("s")}


@attrs.frozen
class Usage:
    """What passes a meter in some seconds: Ws one way and the other through ch1 and ch2, and through aux1."""

    seconds: int
    ch1: tuple[int, int] = (0, 0)
    ch2: tuple[int, int] = (0, 0)
    aux1: int = 0

    @property
    def counted(self) -> dict[str, int]:
        """By how much each counter rises."""
        ways = {"ch1": self.ch1, "ch2": self.ch2}
        rises = {f"{name}_aws": sum(both) for name, both in ways.items()}
        return rises | {f"{name}_pws": both[0] for name, both in ways.items()} | {"aux1_ws": self.aux1}


def readings_after(start: dict[str, int], usages: Sequence[Usage], at: float = 0, flag: int = 0) -> list[Reading]:
    """Return the readings of a meter that begins with these counters: one at the beginning, one after each usage."""
    shown, made = dict(start), [reading_at(start["secs"], at, flag=flag, **without_secs(start))]
    for usage in usages:
        at += usage.seconds
        shown["secs"] += usage.seconds
        shown |= {name: (shown.get(name, 0) + rise) % (1 << COUNTER_BITS[name]) for name, rise in usage.counted.items()}
        made.append(reading_at(shown["secs"], at, flag=flag, **without_secs(shown)))
    return made


def without_secs(counters: dict[str, int]) -> dict[str, int]:
    """Return the energy counters."""
    return {name: value for name, value in counters.items() if name != "secs"}


def energy_used(usages: Sequence[Usage]) -> dict[str, float]:
    """Return the energy of usages, in the vendor's sign, in Wh."""
    circuits = {"ch1_dwh": [usage.ch1 for usage in usages], "ch2_dwh": [usage.ch2 for usage in usages]}
    net = {label: sum(other - one for one, other in ways) / 3600 for label, ways in circuits.items()}
    aux = {f"aux{i}_dwh": sum(usage.aux1 for usage in usages) / 3600 if i == 1 else 0.0 for i in range(1, 6)}
    return net | aux


watts_each_way = st.tuples(st.integers(0, 25_000), st.integers(0, 25_000))
"""W one way and the other."""


@st.composite
def any_usage(draw: st.DrawFn, most: int = 3600) -> Usage:
    """Draw a usage of some seconds, at powers that a panel may have."""
    seconds = draw(st.integers(1, most))
    one, other = (tuple(watts * seconds for watts in draw(watts_each_way)) for _ in range(2))
    return Usage(seconds, (one[0], one[1]), (other[0], other[1]), draw(st.integers(0, 25_000)) * seconds)


def counter_values(bits: int) -> st.SearchStrategy[int]:
    """Draw a counter, often about to wrap."""
    return st.integers(0, (1 << bits) - 1) | st.integers(1, 1 << (bits - 20)).map(lambda left: (1 << bits) - left)


counter_starts = st.fixed_dictionaries(
    {"secs": counter_values(24), **{name: counter_values(COUNTER_BITS[name]) for name in Usage(1).counted}}
)
usage_histories = st.lists(any_usage(), min_size=1, max_size=12)
