# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every source: it yields what the core takes, and ends soon after it is told to."""

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

from btcore.records import Chunk, Reading, SourceCheckpoint
from btcore.testing.conformance.calls import Caller, Hangs, Opened, Outcome
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.hosted_service import Reply

COLLECTS = 0.3
"""Seconds for which a source collects before it is told to stop, unless something came."""
MOST = 1000
"""The most items that are looked at."""

ANSWERS = (
    ("its service is down (503)", Reply(503, "down")),
    ("its service answers something else", Reply(200, "<html>Welcome to our hotel</html>")),
    ("the connection is cut", Reply(wire="reset")),
    ("its service never answers", Reply(wire="hang")),
    ("its service answers a byte now and then", Reply(wire="drip")),
)
ADVICE = "raise Retry, or let the OSError pass; and bound the time of an entire request, as btcore.web.Client does"


def source_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Collect twice, as after a failure; yield what is wrong."""
    for again in ("", " when it is opened again"):
        faults = list(_collect_faults(subject, caller, again))
        yield from faults
        if faults:
            return


def polled_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Look at a source that asks a service over HTTP: what it makes of its answers, and whether it brings anything."""
    for what, reply in ANSWERS:
        subject.service.answer, before = reply, subject.service.answer
        try:
            faults = use_source(subject.make(**subject.impatient()), subject, caller)
        finally:
            subject.service.answer = before
        yield from (Fault("answer", f"when {what}: {fault.text}; {ADVICE}") for fault in faults)
        if any("does not end" in fault.text for fault in faults):
            return
    if not subject.service.requests:
        return
    items: list[object] = []
    use_source(subject.make(), subject, caller, items)
    if not items:
        yield Fault(
            "source",
            "it asks its service, and yields nothing: give `conforms` a `service` that answers as the real one does",
        )


def use_source(
    instance: Any,  # noqa: ANN401 - a plugin's instance
    subject: Subject,
    caller: Caller,
    items: list[object] | None = None,
) -> list[Fault]:
    """Open a source, let it collect, and close it; return what is wrong. What it yields is put into `items`."""
    items = [] if items is None else items
    with caller.using(instance) as opened:
        outcome = opened.open(subject.context("source"))
        if outcome.answer == "hang":
            raise Hangs(f"`open`: {outcome.text}; time out, and raise Retry")
        if outcome.answer == "delivered":
            outcome = _collect_for_a_while(opened, items)
        closed = opened.close()
    faults = [_strange(one) for one in items if not isinstance(one, Chunk | Reading | SourceCheckpoint)]
    if outcome.answer == "hang":
        advice = "look at it about once a second, and wait for nothing longer than that"
        faults.append(Fault("source", f"`collect` does not end when `stop` is set: {advice}"))
    if outcome.answer in ("bug", "reject", "reject all"):
        faults.append(Fault("source", f"`open` or `collect` fails: {outcome.text}"))
    if closed.answer == "bug":
        faults.append(Fault("close", f"`close` fails: {closed.text}"))
    return faults


def _collect_for_a_while(opened: Opened, items: list[object]) -> Outcome:
    """Let an opened source collect until something comes, or for some time; it is stopped then."""
    stop = Event()
    ending = Thread(target=_set_later, args=(stop,), daemon=True, name="conforms")
    ending.start()
    try:
        return opened.lane.run(lambda: _collect(opened.hooks.collect(stop=stop), stop, items))
    finally:
        stop.set()
        ending.join()


def _collect_faults(subject: Subject, caller: Caller, again: str) -> Iterator[Fault]:
    for fault in use_source(subject.make(), subject, caller):
        yield Fault(fault.code, f"{fault.text}{again}")


def _set_later(stop: Event) -> None:
    stop.wait(COLLECTS)
    stop.set()


def _strange(item: object) -> Fault:
    expected = "expected a Chunk, a Reading or a SourceCheckpoint"
    return Fault("source", f"`collect` yields a {type(item).__name__} ({item!r:.40}); {expected}")


def _collect(found: Any, stop: Event, items: list[object]) -> None:  # noqa: ANN401 - whatever a plugin returns
    """Take what a source yields until it ends; what comes after `stop` is awaited for a while. Raises as it does."""
    if not isinstance(found, Iterator):
        raise TypeError(f"collect returned a {type(found).__name__}; expected an iterator: yield what comes in")
    try:
        for item in found:
            items.append(item)
            stop.set()
            if len(items) > MOST:
                return
    finally:
        if hasattr(found, "close"):
            found.close()
