# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings out of what a row or a block of a file has: in the packet format whose numbers it has. Pure.

So they stand in the tables of that format, beside those of the meter's packets, and its counters continue. Of what the
file does not have there is no number; where it has no seconds counter, seconds since 1970 take its place.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from btcore.decode.brultech import FORMATS
from btcore.formats import SECONDS, Format, Number
from btcore.records import Reading

ECM_CHANNELS = frozenset({"ch1", "ch2"})
ECM_SERIAL_DIGITS = 6


def format_of(serial: str, names: Iterable[str]) -> Format:
    """Return the packet format of a meter with channels and sensors of these names."""
    found = set(names)
    if any(name.startswith("aux") for name in found):
        return FORMATS["ecm1240bin"]
    is_ecm = len(serial) == ECM_SERIAL_DIGITS and found <= ECM_CHANNELS
    return FORMATS["ecm1220bin" if is_ecm else "gem48pbin"]


def assemble(form: Format, serial: str, time: datetime, known: Mapping[str, Number]) -> Reading:
    """Make a reading of the numbers that are known, by label. Raises ValueError for what cannot be one."""
    seconds = known.get(SECONDS)
    numbers = {**known, SECONDS: int(time.timestamp()) % (1 << form.seconds_bits) if seconds is None else seconds}
    return Reading(time, form, serial, b"", numbers=tuple(numbers.get(label) for label in form.labels))
