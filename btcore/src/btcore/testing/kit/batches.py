# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of meters that measure steadily, made of real packets, and the batch that a sink is given of them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from btcore.calculate.samples import between
from btcore.decode.brultech import FORMATS, pack
from btcore.records import Batch, Reading, Sample
from btcore.settings import Polarity

START = datetime(2026, 6, 21, 12, tzinfo=UTC)
"""When the first reading was received."""

ECM, GEM = "312345", "01000777"
"""The serial numbers of the ECM-1240 and of the GEM."""

_SERIALS: Mapping[str, str] = {"gem48ptbin": GEM, "gem48pbin": GEM}


def make_packet(count: int, *, form: str = "ecm1240bin", serial: str = "", interval: int = 10) -> bytes:
    """Return a packet: the one after `count` intervals (in seconds) of a meter with 1000 W in and 250 W out on ch1."""
    at = interval * count
    values = {"secs": at, "volts": 120.0, "ch1_aws": 1250 * at, "ch1_pws": 250 * at, "ch2_aws": 500 * at}
    values |= {"t1": 21.5, "p1": count} if form.startswith("gem") else {"aux1_ws": 200 * at}
    known = {label: value for label, value in values.items() if label in FORMATS[form].labels}
    return pack(form, serial or _SERIALS.get(form, ECM), known)


def make_readings(
    count: int = 3,
    *,
    form: str = "ecm1240bin",
    serial: str = "",
    interval: int = 10,
    start: datetime = START,
    first_offset: int = 1,
) -> list[Reading]:
    """Return consecutive readings of the meter of `make_packet`, `interval` seconds apart, as a journal has them."""
    return [
        Reading(
            start + timedelta(seconds=interval * at),
            FORMATS[form],
            serial or _SERIALS.get(form, ECM),
            make_packet(at, form=form, serial=serial, interval=interval),
            offset=first_offset + at,
        )
        for at in range(count)
    ]


def make_batch(readings: Iterable[Reading] | None = None, polarity: Polarity = "brultech") -> Batch:
    """Return the batch of these readings, with the samples between those of one meter; default: three of an ECM."""
    known = tuple(make_readings() if readings is None else readings)
    by_meter: dict[str, list[Reading]] = {}
    for reading in known:
        by_meter.setdefault(reading.serial, []).append(reading)
    made = [between(older, newer, polarity) for some in by_meter.values() for older, newer in pairwise(some)]
    samples = [sample for sample in made if isinstance(sample, Sample)]
    return Batch(known, tuple(sorted(samples, key=lambda sample: sample.newer.offset)))


def batch_without_numbers(polarity: Polarity = "brultech") -> Batch:
    """Return a batch of an ECM that measured nothing but its seconds: all else is None, in readings and samples."""
    form = FORMATS["ecm1240bin"]
    readings = [
        Reading(
            START + timedelta(seconds=at),
            form,
            ECM,
            b"",
            offset=1 + at,
            numbers=tuple(at if label == "secs" else None for label in form.labels),
        )
        for at in (0, 10)
    ]
    return make_batch(readings, polarity)


def batch_of_restart(polarity: Polarity = "brultech") -> Batch:
    """Return a batch in which the meter restarted: its counters begin again, and its sample has no length."""
    before = make_readings(2, start=START)[1]
    after = make_readings(1, start=START + timedelta(seconds=20), first_offset=3)[0]
    return make_batch([before, after], polarity)
