# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin may have beside its work: `split`, `create_storage`, `hosted`, `patience`, `diagnose`, `discover`.

Each is asked by what the core asks it with, so what the core would report is what is found here.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from btcore.config.hosting import is_hosted
from btcore.config.parts import split
from btcore.decode.brultech import FORMATS
from btcore.discovered import Discovered
from btcore.discovery import Installed, kinds_of
from btcore.doctor.plugins import ask
from btcore.findings import DiagnosisContext
from btcore.settings import Context
from btcore.testing.conformance.calls import Caller, Opened, bounded
from btcore.testing.conformance.faults import Fault
from btcore.testing.conformance.subject import Subject, installed_plugin
from btcore.testing.kit.guard import NETWORK, watching
from btcore.values.describe import settings_of

DISCOVERY = 0.2
"""Seconds that a `discover` may wait for an answer here."""


def extra_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Yield what is wrong with all that a plugin has beside its work."""
    plugin = installed_plugin(subject.cls)
    if "sink" in kinds_of(subject.cls):
        yield from _hosted_faults(subject, caller, plugin)
        yield from _split_faults(subject, caller, plugin)
        yield from _storage_faults(subject, caller)
    if "source" in kinds_of(subject.cls):
        yield from _patience_faults(subject, caller)
    yield from _discovery_faults(subject, caller)
    yield from _diagnosis_faults(subject, caller)


def _asked(caller: Caller, what: str, work: Callable[[], object]) -> Iterator[Fault]:
    """Ask for something in a way that raises PluginError where the answer is wrong."""
    outcome = caller.apart(work, what)
    if outcome.answer != "delivered":
        yield Fault("declaration", outcome.text)


def _hosted_faults(subject: Subject, caller: Caller, plugin: Installed) -> Iterator[Fault]:
    instance = subject.make()
    yield from _asked(caller, "`hosted`", lambda: is_hosted(plugin, instance))


def _split_faults(subject: Subject, caller: Caller, plugin: Installed) -> Iterator[Fault]:
    instance, parts = subject.make(), list[str]()
    yield from _asked(caller, "`split`", lambda: parts.extend(split(plugin, instance)))
    caller.output.add("the name of a part, which `split` returns", *parts)


def _storage_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Create what is stored into twice, as a person may: the second time, there is nothing to create."""
    for again in ("", " when all is there already") if "create_storage" in subject.hooks else ():
        lines: list[Any] = []
        with caller.using(subject.make()) as opened:
            outcome = opened.lane.run(partial(_create, opened, subject.context("sink"), lines))
        caller.output.add("what `create_storage` returns", *map(str, lines))
        if not outcome.is_classified:
            yield Fault("outcome", f"create_storage fails{again}: {outcome.text}; it returns lines of text")
            return
        if wrong := [line for line in lines if not isinstance(line, str)]:
            yield Fault("outcome", f"create_storage returns {wrong[0]!r:.40}; expected lines of text")


def _create(opened: Opened, context: Context, lines: list[Any]) -> None:
    formats = (FORMATS["ecm1240bin"],)
    lines.extend(bounded(opened.hooks.create_storage(context=context, formats=formats) or ()))


def _patience_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    instance, found = subject.make(), list[object]()
    outcome = caller.apart(lambda: found.append(getattr(instance, "patience", 0)), "`patience`")
    if not found:
        yield Fault("declaration", f"its `patience` cannot be read: {outcome.text}")
    elif isinstance(found[0], bool) or not isinstance(found[0], int | float):
        yield Fault("declaration", f"its `patience` is {found[0]!r:.40}; expected a number of seconds")


def _discovery_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    """Ask the class for tables: each is a Discovered, with settings that the class has. No other machine is asked."""
    method = getattr(subject.cls, "discover", None)
    if not callable(method):
        return
    if not isinstance(inspect.getattr_static(subject.cls, "discover"), classmethod | staticmethod):
        yield Fault("declaration", "`discover` is no class method, and there is no instance when it is asked")
        return
    found, seen = list[Any](), list[str]()

    def work() -> None:
        with watching(NETWORK, local_only=True, seen=seen):
            found.extend(bounded(method(DISCOVERY) or ()))

    outcome = caller.apart(work, "`discover`")
    if outcome.answer != "delivered" and not seen:
        yield Fault("declaration", f"`discover` fails: {outcome.text}; it takes the seconds that it may wait")
    for what in dict.fromkeys(seen):
        yield Fault("declaration", f"`discover` uses the network: {what}; it looks at this computer alone")
    for one in found:
        caller.output.add("what `discover` yields", str(one))
        yield from _discovered_faults(subject.cls, one)


def _discovered_faults(cls: type, one: object) -> Iterator[Fault]:
    if not isinstance(one, Discovered):
        yield Fault("declaration", f"`discover` yields {one!r:.60}; expected a Discovered")
        return
    if one.kind not in kinds_of(cls):
        yield Fault("declaration", f"`discover` offers a {one.kind}, which this plugin is not")
    known = {entry.name for entry in settings_of(cls)}
    for name in sorted({*one.settings, *one.ask} - known):
        yield Fault("declaration", f"`discover` offers a table with `{name}`, which is no setting of this plugin")


def _diagnosis_faults(subject: Subject, caller: Caller) -> Iterator[Fault]:
    instance, table = subject.make(), f"{kinds_of(subject.cls)[0]}.{subject.name}"
    context = DiagnosisContext(name=table, is_running=True, seconds=0.1)  # so it opens nothing that is used once only
    findings = ask(instance, subject.name, context, patience=20.0)
    for finding in findings:
        caller.output.add("what `diagnose` yields", str(finding))
        if finding.code == "plugin-fault":
            yield Fault("declaration", f"`diagnose`: {finding.text}; it yields Findings")
