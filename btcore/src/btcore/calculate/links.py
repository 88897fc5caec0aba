"""A reading and what it goes on from: what is calculated of two readings is calculated of a link.

How links are found among the readings of a meter is told by `chains.py`.
"""

from collections.abc import Mapping

import attrs

from btcore.calculate.transition import Passed
from btcore.records import Reading

Lifetime = Mapping[str, int]
"""By how much the counters of a meter's lifetime are ahead of what it shows, in Ws, by label; what is missing is 0.

Of a counter that a reading does not show, it is all of it. Under a channel's name is how much energy, of the direction
that its polarized counter does not count, was told too early: so much is counted before more of it is told. Under
`hidden` of a channel is what was counted one way, while readings do not show that counter.
"""

NEW: Lifetime = {}
"""The lifetime of a meter that is heard for the first time: its counters are what it shows."""


def hidden(name: str) -> str:
    """Return under what a lifetime has a channel's polarized counter while the format in use has none."""
    return f"{name} one way"


@attrs.frozen
class Link:
    """A reading and what it goes on from.

    `key` names its chain: the serial number, with something behind it for a further chain of the same serial number; ""
    is none: the reading is passed over. `before` is the reading that it goes on from, and `passed` how; both are None
    where a chain begins, and nothing is known of the time before. `elder` is a reading from before that one, of another
    format with counters that `before` lacks; `fresh` tells that `before` came next after it. `beside` is what the next
    link has as its elder. `lifetime` is as of this reading. `is_again`: the packet came before, by another way.
    """

    reading: Reading
    key: str = ""
    before: Reading | None = None
    passed: Passed | None = None
    elder: Reading | None = None
    fresh: bool = False
    beside: Reading | None = None
    lifetime: Lifetime = NEW
    is_again: bool = False
