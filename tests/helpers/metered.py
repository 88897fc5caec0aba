# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of a meter that goes on steadily, and the batch of them: for tests of sinks that take samples."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from btcore import FORMATS, Batch, Polarity, Reading, Sample, pack
from btcore.calculate.samples import between

START = 1_700_000_000


def readings(
    count: int,
    *,
    start: float = START,
    form: str = "ecm1240bin",
    serial: str = "312345",
    pace: int = 10,
    first: int = 1,
) -> list[Reading]:
    """Return readings of a meter that uses 1000 W and exports 250 W on ch1, with offsets from 1 on."""
    made = []
    for at in range(count):
        values = {"secs": pace * at, "volts": 120.0, "ch1_aws": 1250 * pace * at, "ch1_pws": 250 * pace * at}
        values |= {"t1": 21.5, "p1": at} if form == "gem48ptbin" else {"aux1_ws": 200 * pace * at}
        time = datetime.fromtimestamp(start + pace * at, UTC)
        made.append(Reading(time, FORMATS[form], serial, pack(form, serial, values), offset=1 + at))
    return made


def batch_of(readings: Sequence[Reading], polarity: Polarity = "brultech") -> Batch:
    """Return the batch of consecutive readings of one meter."""
    made = [between(older, newer, polarity) for older, newer in pairwise(readings)]
    return Batch(tuple(readings), tuple(sample for sample in made if isinstance(sample, Sample)))
