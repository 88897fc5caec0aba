# SPDX-License-Identifier: GPL-3.0-or-later
"""A link: a reading, and the reading that it continues from. Samples are calculated of links.

How links are found among the readings of a meter is in `chains.py`.
"""

from collections.abc import Callable, Mapping

from btcore.calculate.transition import Transition, elapsed_between
from btcore.classes import frozen
from btcore.formats import Number
from btcore.records import Reading, Sample, is_known_to_continue

Lifetime = Mapping[str, int]
"""By how much each lifetime counter is ahead of the meter's own counter, in Ws, by label; a missing label is 0.

For a counter that the packet format lacks, it is the lifetime counter itself. Under a channel's name is the energy, of
the direction that its polarized counter does not count, that was counted too early: the next so many Ws of it are not
counted again. Under `hidden_key` of a channel is its polarized lifetime counter while the packet format lacks it.
"""

NEW: Lifetime = {}
"""The lifetime of a meter that is heard for the first time: its lifetime counters are its own counters."""


def hidden_key(name: str) -> str:
    """Return the key under which a lifetime has a channel's polarized counter while the packet format lacks it."""
    return f"{name} one way"


@frozen
class Link:
    """A reading, and the reading that it continues from.

    `key` is that of its chain: the serial number, and for a further chain of the same serial number something behind
    it; "" for a reading that is skipped. `before` is the reading that it continues from, and `transition` how; both are
    None at the beginning of a chain. `complement` is a reading from before `before`, in another packet format, with
    counters that `before` lacks; `is_adjacent`: `before` came next after it. `next_complement` is the complement of the
    next link. `lifetime` is as of this reading. `is_repeat`: the packet came before, by another route.
    """

    reading: Reading
    key: str = ""
    before: Reading | None = None
    transition: Transition | None = None
    complement: Reading | None = None
    is_adjacent: bool = False
    next_complement: Reading | None = None
    lifetime: Lifetime = NEW
    is_repeat: bool = False


def sample_between(link: Link, calculate: Callable[[], Mapping[str, Number]]) -> Sample:
    """Make the sample of a link; its values are calculated with their first use.

    Raises ValueError for a link that begins a chain.
    """
    if link.before is None or link.transition is None:
        raise ValueError("there is no sample before the first reading")
    return Sample(link.before, link.reading, _seconds_of(link), link.transition is Transition.RESET, calculate)


def _seconds_of(link: Link) -> float | None:
    """Return the length of a link's interval; None where the meter restarted in it."""
    if link.before is None or link.transition is not Transition.CONTINUED:
        return None
    if is_known_to_continue(link.reading, link.before):
        return link.reading.seconds - link.before.seconds
    return elapsed_between(link.before, link.reading).seconds
