"""What a reading of one packet format contains: the names of its numbers and how its counters are to be read.

A `Format` is a description, shared by every reading of it. The seven formats of Brultech are in `brultech.py`; a
plugin that decodes another meter makes its own. No arithmetic here (`calculate.py`), no bytes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import attrs

Number = int | float | None
"""A measured number; None where the meter says that there is none (a temperature sensor that is not connected)."""


@attrs.frozen
class Channel:
    """One measured circuit, and the counters that hold its energy.

    `absolute` counts watt-seconds whichever way the current flows, `polarized` those of one direction only; None
    where the meter has no such counter. Both wrap at 2 to the power `bits`. A `directional` channel has a sign, which
    the site's polarity decides; an auxiliary channel has none.
    """

    name: str
    absolute: str
    polarized: str | None = None
    bits: int = 40
    directional: bool = True


@attrs.frozen(eq=False)
class Format:
    """A packet format: its name, the label of each number, in order, and its channels.

    `unpack` makes the numbers of one raw packet, in the order of `labels`. `clock` reads the meter's own clock, as the
    meter shows it (no zone), or None when it is not set; `clock` itself is None where the format carries none.
    `labels` must hold `secs`, the meter's seconds counter, which wraps at 2 to the power `seconds_bits`.
    `reset_label` names a number that changes whenever the meter's counters restarted (ECM: the flag byte; only
    the bits of `reset_mask` count). `family` says whose tables and printed lines readings of it have where those of
    btmon differ: `ecm`, `gem`, or "" for a meter that btmon did not know.
    """

    name: str
    labels: tuple[str, ...]
    channels: tuple[Channel, ...]
    unpack: Callable[[bytes], Sequence[Number]]
    clock: Callable[[bytes], datetime | None] | None = None
    seconds_bits: int = 24
    reset_label: str | None = None
    reset_mask: int = 0
    family: Literal["", "ecm", "gem"] = ""
    index: dict[str, int] = attrs.field(init=False, repr=False)

    @index.default
    def _index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    def __repr__(self) -> str:
        """Short: a format has hundreds of labels."""
        return f"Format({self.name!r})"
