# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a step a request wants: a time span, meters, one channel. Pure."""

from collections.abc import Container
from functools import partial

from btcore.calculate.sampling import Step
from btcore.classes import evolve
from btcore.formats import Number
from btcore.records import Reading, Sample
from btcore.replay.requests import Request


def select(step: Step, request: Request) -> Step | None:
    """Return what of a step is wanted; None where nothing is."""
    samples = tuple(sample for sample in step.samples if _is_wanted(sample.newer, request))
    readings = tuple(reading for reading in step.readings if _is_wanted(reading, request))
    if request.channel:
        samples = tuple(one for sample in samples if (one := _of_channel(sample, request.channel)) is not None)
        with_sample = {sample.newer.offset for sample in samples}
        readings = tuple(reading for reading in readings if reading.offset in with_sample)
    return evolve(step, readings=readings, samples=samples) if readings or samples else None


def without_stored(step: Step, stored: Container[tuple[str, int]]) -> Step | None:
    """Return what of a step is not stored, by serial number and key; None where all is."""
    samples = tuple(one for one in step.samples if (one.serial, one.newer.key) not in stored)
    readings = tuple(one for one in step.readings if (one.serial, one.key) not in stored)
    return evolve(step, readings=readings, samples=samples) if readings or samples else None


def _is_wanted(reading: Reading, request: Request) -> bool:
    """Whether a reading is of the request's span and meters, and was delivered before by the live delivery."""
    return (
        (request.since is None or reading.key >= request.since)
        and (request.until is None or reading.key <= request.until)
        and (not request.meters or reading.serial in request.meters)
        and reading.offset <= request.end
    )


def _of_channel(sample: Sample, channel: str) -> Sample | None:
    """Return a sample with the values of one channel alone; None where it has none of them."""
    label = channel.removeprefix(f"{sample.serial}_")
    known = {one.name for one in sample.channels} | set(sample.format.labels)
    if label not in known:
        return None
    return Sample(
        sample.older,
        sample.newer,
        sample.seconds,
        reset=sample.reset,
        calculate=partial(_values_of, sample, label),
    )


def _values_of(sample: Sample, label: str) -> dict[str, Number]:
    """Return the values of a sample; those of other channels are not known."""
    own = f"{label}_"
    return {key: value if key.startswith(own) else None for key, value in sample.values.items()}
