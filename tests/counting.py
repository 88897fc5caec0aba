"""A meter that counts: its readings, what passed it, and the samples between; for tests of calculation."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st

from btcore import FORMATS, Format, Number, Polarity, Reading, Sample
from btcore.calculate.samples import between

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
ECM, GEM, ABS = FORMATS["ecm1240bin"], FORMATS["gem48pbin"], FORMATS["gem32abin"]
SECONDS = 1 << 24
DAY = 86_400
quick = settings(max_examples=examples(100), deadline=None)
POLARITIES: tuple[Polarity, ...] = ("brultech", "btmon")


def reading(secs: int, at: float = 0, form: Format = ECM, /, **values: Number) -> Reading:
    """Make a reading of a meter that shows these values, and zeros for all else, received `at` seconds after START."""
    numbers = tuple({"secs": secs % SECONDS, **values}.get(label, 0) for label in form.labels)
    return Reading(START + timedelta(seconds=at), form, "312345", b"", numbers=numbers)


def sample(older: Reading, newer: Reading, polarity: Polarity = "brultech") -> Sample:
    """Return the sample between two readings that must have one."""
    made = between(older, newer, polarity)
    assert isinstance(made, Sample)
    return made


def powers(made: Sample) -> dict[str, Number]:
    """Return all powers that are known."""
    return {label: value for label, value in made.values.items() if label.endswith("w") and value is not None}


def energies(made: Sample | None) -> dict[str, Number]:
    """Return all energies of the interval."""
    assert made is not None
    return {label: value for label, value in made.values.items() if label.endswith("_dwh")}


def added(samples: Sequence[Sample]) -> dict[str, Number]:
    """Add up the energies of samples."""
    return {label: sum(made.values[label] or 0 for made in samples) for label in energies(samples[0])}


WIDTH = {counter: 32 if counter.startswith("aux") else 40 for counter in ECM.labels if counter.endswith("s")}


@attrs.frozen
class Step:
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


def run(start: dict[str, int], steps: Sequence[Step], at: float = 0, flag: int = 0) -> list[Reading]:
    """Return the readings of a meter that begins with these counters: one at the beginning, and one after each step."""
    shown, made = dict(start), [reading(start["secs"], at, flag=flag, **without_secs(start))]
    for step in steps:
        at += step.seconds
        shown["secs"] += step.seconds
        shown |= {name: (shown.get(name, 0) + rise) % (1 << WIDTH[name]) for name, rise in step.counted.items()}
        made.append(reading(shown["secs"], at, flag=flag, **without_secs(shown)))
    return made


def without_secs(counters: dict[str, int]) -> dict[str, int]:
    """Return the energy counters."""
    return {name: value for name, value in counters.items() if name != "secs"}


def put_in(steps: Sequence[Step]) -> dict[str, float]:
    """Return the energy that passed, in the vendor's sign, in Wh."""
    circuits = {"ch1_dwh": [step.ch1 for step in steps], "ch2_dwh": [step.ch2 for step in steps]}
    net = {label: sum(other - one for one, other in ways) / 3600 for label, ways in circuits.items()}
    aux = {f"aux{i}_dwh": sum(step.aux1 for step in steps) / 3600 if i == 1 else 0.0 for i in range(1, 6)}
    return net | aux


ways = st.tuples(st.integers(0, 25_000), st.integers(0, 25_000))
"""W one way and the other."""


@st.composite
def passing(draw: st.DrawFn, most: int = 3600) -> Step:
    """Draw a step, at powers that a panel may have."""
    seconds = draw(st.integers(1, most))
    one, other = (tuple(watts * seconds for watts in draw(ways)) for _ in range(2))
    return Step(seconds, (one[0], one[1]), (other[0], other[1]), draw(st.integers(0, 25_000)) * seconds)


def anywhere(bits: int) -> st.SearchStrategy[int]:
    """Draw a counter, often about to wrap."""
    return st.integers(0, (1 << bits) - 1) | st.integers(1, 1 << (bits - 20)).map(lambda left: (1 << bits) - left)


counters = st.fixed_dictionaries({"secs": anywhere(24), **{name: anywhere(WIDTH[name]) for name in Step(1).counted}})
histories = st.lists(passing(), min_size=1, max_size=12)
