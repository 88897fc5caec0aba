# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every sink: how it answers, what it does with numbers that are None, and that it stores a batch once.

What it makes of the answers of a hosted service is in `answers.py`.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from btcore.discovery import hooks_of
from btcore.records import Batch
from btcore.sinks.results import check_stored
from btcore.testing.conformance.calls import Caller, Hangs, Opened, Outcome, bounded
from btcore.testing.conformance.faults import Code, Fault
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.batches import batch_of_restart, batch_without_numbers, make_batch, make_readings

Stored = Callable[[], Any]
"""Returns what the sink has stored by now, such as the rows of its table: anything that can be compared."""


def full_batch() -> Batch:
    """Return the readings of an ECM and of a GEM, mixed as a journal has them."""
    ecm = make_readings(3, form="ecm1240bin")
    gem = make_readings(3, form="gem48ptbin", first_offset=11)
    return make_batch([reading for pair in zip(ecm, gem, strict=True) for reading in pair])


BATCHES: Sequence[tuple[str, Callable[[], Batch]]] = (
    ("the readings of two meters", full_batch),
    ("a batch of nothing", Batch),
    ("the first reading of a meter, which has no sample", lambda: make_batch(make_readings(1))),
    ("readings and samples whose numbers are None", batch_without_numbers),
    ("a sample in which the meter restarted, whose length is None", batch_of_restart),
)


def sink_faults(subject: Subject, caller: Caller, stored: Stored | None, varies: str) -> Iterator[Fault]:
    """Yield what is wrong with a sink whose service works."""
    with caller.using(subject.make()) as opened:
        opening = opened.open(subject.context("sink"))
        if opening.answer == "hang":
            raise Hangs(f"`open`: {opening.text}; time out, and raise Retry")
        if outcome := _refused(opening):
            yield Fault("outcome", f"`open` does not succeed where its service works: {outcome}")
            if failed := _refused(opened.close()):
                yield Fault("close", f"`close` fails where `open` failed before: {failed}")
            return
        for what, make in BATCHES:
            faults = list(_batch_faults(opened, what, make(), subject))
            yield from faults
            if faults and make is full_batch:
                break  # it fails with the others for the same reason
        else:
            yield from _stored_faults(opened)
        caller.output.add("the name of a thread", *(thread.name for thread in threading.enumerate()))
        if failed := _refused(opened.close()):
            yield Fault("close", f"`close` fails: {failed}")
    yield from _twice_faults(subject, caller, stored, varies)
    yield from _preview_faults(subject, caller)


def _refused(outcome: Outcome) -> str:
    """Return what came of a call that should have succeeded, or ""."""
    meaning = "" if outcome.answer == "bug" else f"{outcome.answer}, "
    return "" if outcome.answer == "delivered" else f"{meaning}{outcome.text}"


def _batch_faults(opened: Opened, what: str, batch: Batch, subject: Subject) -> Iterator[Fault]:
    for some in _split(batch, opened.instance):
        before = _contents(some)
        outcome = opened.process(some)
        if _contents(some) != before:
            yield Fault("outcome", "process_batch changes the batch, which all sinks are given: make a copy of it")
            return
        if outcome.answer == "delivered":
            continue
        if outcome.answer == "hang":
            raise Hangs(f"process_batch with {what}: {outcome.text}; time out, and raise Retry")
        code: Code = "none" if "None" in what else "outcome"
        if not outcome.is_classified:
            advice = "a value that is not known is None: leave it out" if code == "none" else "handle it"
            yield Fault(code, f"process_batch fails with {what}: {outcome.text}; {advice}")
        elif what == BATCHES[0][0] and subject.is_hosted:
            yield Fault("outcome", f"process_batch does not deliver {what}: {outcome.answer}, {outcome.text}")
        return


def _contents(batch: Batch) -> list[object]:
    """Return what is in a batch, in a form that does not change with it."""
    readings = [(one.serial, one.key, one.source, one.origin, dict(one.values)) for one in batch.readings]
    return [*readings, *((one.serial, one.newer.key, dict(one.values)) for one in batch.samples)]


def _split(batch: Batch, instance: object) -> Iterator[Batch]:
    """Cut a batch as the core does for this sink."""
    size = getattr(getattr(instance, "delivery", None), "batch_size", 500)
    for start in range(0, len(batch.readings) or 1, size):
        readings = batch.readings[start : start + size]
        offsets = {reading.offset for reading in readings}
        yield Batch(readings, tuple(one for one in batch.samples if one.newer.offset in offsets))


def _stored_faults(opened: Opened) -> Iterator[Fault]:
    """Yield what is wrong with the answer of `find_stored`."""
    if "find_stored" not in hooks_of(type(opened.instance)):
        return
    batch = full_batch()
    found: list[tuple[str, int]] = []
    outcome = opened.lane.run(lambda: found.extend(check_stored(bounded(opened.hooks.find_stored(batch=batch)))))
    if not outcome.is_classified:
        yield Fault("outcome", f"find_stored fails: {outcome.text}")
    elif strange := set(found) - {(one.serial, one.key) for one in batch.readings}:
        yield Fault("outcome", f"find_stored returns what is not in the batch: {sorted(strange)[:3]}")


def _twice_faults(subject: Subject, caller: Caller, stored: Stored | None, varies: str) -> Iterator[Fault]:
    """Deliver the same batch twice, the second time by another instance, as after a crash."""
    first = _delivered(subject, caller)
    before = stored() if stored else None
    second = _delivered(subject, caller)
    if stored and (after := stored()) != before:
        yield Fault(
            "twice",
            f"the same batch is stored twice ({_short(before)}, then {_short(after)}): a batch comes again after a"
            " crash; reading.serial and reading.key together identify a reading",
        )
    if varies:
        first, second = ([re.sub(varies, "", one) for one in some] for some in (first, second))
    if extra := Counter(second) - Counter(first):
        yield Fault(
            "twice",
            f"the same batch is sent as something else the second time ({next(iter(extra))[:160]!r}): send nothing"
            " that changes, such as the time now; what the service is to know a reading by is reading.time or .key",
        )


def _short(value: object) -> str:
    return f"{value!r:.60}"


def _delivered(subject: Subject, caller: Caller) -> list[str]:
    """Deliver the full batch with a new instance; return what was sent to the hosted service."""
    with caller.using(subject.make()) as opened:
        opened.open(subject.context("sink"))
        seen = len(subject.service.requests)
        for batch in _split(full_batch(), opened.instance):
            opened.process(batch)
        sent = subject.service.requests[seen:]
    return [f"{one.method} {one.path} {dict(one.query)} {one.body.decode(errors='replace')}" for one in sent]


def _preview_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Look at a dry run: it shows lines, and sends nothing."""
    with caller.using(subject.make()) as opened:
        opened.open(subject.context("sink", dry_run=True))
        seen, lines = len(subject.service.requests), list[str]()
        outcome = opened.lane.run(lambda: lines.extend(_lines(opened.hooks.preview_batch(batch=full_batch()))))
        caller.output.add("the lines of a dry run", *lines)
        if not outcome.is_classified:
            yield Fault("outcome", f"preview_batch fails: {outcome.text}; it returns lines of text")
        if any(one.method not in ("GET", "HEAD") for one in subject.service.requests[seen:]):
            yield Fault(
                "outcome", "a dry run sends something: preview_batch shows what would be sent, and sends nothing"
            )


def _lines(preview: Iterable[str] | None) -> list[str]:
    lines = bounded(preview or ())
    if isinstance(preview, str) or any(not isinstance(line, str) for line in lines):
        raise TypeError("expected lines of text")
    return lines
