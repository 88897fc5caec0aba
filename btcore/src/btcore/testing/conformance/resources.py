# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin opens, and when: nothing when it is made or checked, and nothing is left when it was closed."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from btcore.errors import Problem
from btcore.settings import Claim, Delivery
from btcore.testing.conformance.calls import Caller
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.lifetimes import Open
from btcore.testing.conformance.subject import Subject
from btcore.testing.kit.guard import NETWORK, OPENING, watching
from btcore.text import describe_error

CYCLES = 2
"""How often an instance is opened and closed: the first time, libraries open what they keep."""


def creation_faults(subject: Subject) -> Iterator[Fault]:
    """Make an instance; yield what it opens."""
    before, made, failure = Open.now(), [], ""
    with watching(OPENING) as seen:
        try:
            made.append(subject.make())
        except BaseException as error:  # noqa: BLE001 - a plugin's code, which is what is looked at
            failure = describe_error(error)
    opened = list(dict.fromkeys(seen)) or before.left_since()
    for what in opened:
        yield Fault("init", f"something is opened when an instance is made: {what}; do that in the hook `open`")
    if failure and not opened:
        yield Fault("init", f"an instance cannot be made of its settings: {failure}")


def check_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Call `check`, `claims` and `notes`, as for a configuration; yield what is wrong."""
    instance = subject.make()
    try:
        caller.output.add("its repr", repr(instance), str(instance))
    except BaseException as error:  # noqa: BLE001 - as above
        yield Fault("init", f"its repr fails: {describe_error(error)}")
    known = {"state": subject.folder, "delivery": getattr(subject.cls, "delivery", Delivery())}
    for name, kind in (("check", Problem), ("claims", (Claim, str)), ("notes", str)):
        method = getattr(instance, name, None)
        if not callable(method):
            continue
        found: list[Any] = []
        yield from _method_faults(name, method, known, found)
        for one in found:
            caller.output.add(f"what `{name}` yields", str(one))
            if not isinstance(one, kind):
                yield Fault("check", f"`{name}` yields {one!r:.60}, which is of another type than expected")
            elif isinstance(one, Problem) and not one.warning:
                yield Fault(
                    "settings", f"`check` finds a mistake in the settings of this test: {one.key} {one.message}"
                )


def _method_faults(name: str, method: Callable[..., Any], known: dict[str, Any], found: list[Any]) -> Iterator[Fault]:
    """Call a method that must need no network; put what it yields into `found`."""
    with watching(NETWORK) as seen:
        try:
            wanted = inspect.signature(method).parameters
            found.extend(method(**{key: value for key, value in known.items() if key in wanted}) or ())
        except BaseException as error:  # noqa: BLE001 - as above
            if not seen:
                yield Fault("check", f"`{name}` fails: {describe_error(error)}; it yields what it finds")
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
