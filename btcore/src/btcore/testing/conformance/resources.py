# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin opens, and when: nothing when it is made or checked, and nothing is left when it was closed."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from btcore.errors import Problem
from btcore.settings import Claim, Delivery
from btcore.testing.conformance.calls import Caller, bounded
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.lifetimes import Open
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.guard import NETWORK, OPENING, watching

CYCLES = 2
"""How often an instance is opened and closed: the first time, libraries open what they keep."""


def creation_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Make an instance; yield what it opens. Raises Hangs if that does not return."""
    before, made, seen = Open.now(), list[object](), list[str]()

    def make() -> None:
        with watching(OPENING, seen=seen):
            made.append(subject.make())

    outcome = caller.apart(make, "making an instance")
    opened = list(dict.fromkeys(seen)) or before.left_since()
    for what in opened:
        yield Fault("init", f"something is opened when an instance is made: {what}; do that in the hook `open`")
    if not made and not opened:
        yield Fault("init", f"an instance cannot be made of its settings: {outcome.text}")


def check_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Call `check`, `claims` and `notes`, as for a configuration; yield what is wrong."""
    instance, texts = subject.make(), list[str]()
    outcome = caller.apart(lambda: texts.extend((repr(instance), str(instance))), "its repr")
    caller.output.add("its repr", *texts)
    if not texts:
        yield Fault("init", f"its repr fails: {outcome.text}")
    known = {"state": subject.folder, "delivery": getattr(subject.cls, "delivery", Delivery())}
    for name, kind in (("check", Problem), ("claims", (Claim, str)), ("notes", str)):
        method = getattr(instance, name, None)
        if not callable(method):
            continue
        found: list[Any] = []
        yield from _method_faults(caller, name, partial(_call, method, known), found)
        for one in found:
            caller.output.add(f"what `{name}` yields", str(one))
            if not isinstance(one, kind):
                yield Fault("check", f"`{name}` yields {one!r:.60}, which is of another type than expected")
            elif isinstance(one, Problem) and not one.warning:
                yield Fault(
                    "settings", f"`check` finds a mistake in the settings of this test: {one.key} {one.message}"
                )


def _call(method: Callable[..., Any], known: dict[str, Any]) -> list[Any]:
    wanted = inspect.signature(method).parameters
    return bounded(method(**{key: value for key, value in known.items() if key in wanted}) or ())


def _method_faults(caller: Caller, name: str, call: Callable[[], list[Any]], found: list[Any]) -> Iterator[Fault]:
    """Call a method that must need no network; put what it yields into `found`."""
    seen: list[str] = []

    def work() -> None:
        with watching(NETWORK, seen=seen):
            found.extend(call())

    outcome = caller.apart(work, f"`{name}`")
    if outcome.answer != "delivered" and not seen:
        yield Fault("check", f"`{name}` fails: {outcome.text}; it yields what it finds")
    for what in dict.fromkeys(seen):
        yield Fault(
            "check", f"`{name}` uses the network: {what}; `btcore check` needs none: look at the settings alone"
        )


def closing_faults(subject: Subject, use: Callable[[Any], None]) -> Iterator[Fault]:
    """Open, `use` and close an instance some times; yield what is left after the last. `use` does all three."""
    kept = []  # an instance that is gone would close by chance what it has forgotten
    before = Open.now()
    for cycle in range(CYCLES):
        subject.service.down()
        if cycle == CYCLES - 1:
            before = Open.now()
        subject.service.up()
        kept.append(subject.make(**subject.impatient()))
        use(kept[-1])
    subject.service.down()
    left = before.left_since()
    subject.service.up()
    if left:
        yield Fault(
            "close", f"`close` leaves something behind: {', '.join(dict.fromkeys(left))}; close what `open` opened"
        )
