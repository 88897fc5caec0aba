# SPDX-License-Identifier: GPL-3.0-or-later
"""`conforms`: looks at a plugin from all sides, and raises one error with everything that is wrong."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from btcore.config.site import core_settings
from btcore.discovery import PluginError, kinds_of
from btcore.errors import is_interrupt
from btcore.settings import Kind
from btcore.testing.conformance.answers import answer_faults
from btcore.testing.conformance.calls import Caller, Hangs
from btcore.testing.conformance.decoders import decoder_faults
from btcore.testing.conformance.extras import extra_faults
from btcore.testing.conformance.faults import DoesNotConform, Fault
from btcore.testing.conformance.lines import Output
from btcore.testing.conformance.process_state import unchanged_process
from btcore.testing.conformance.resources import check_faults, closing_faults, creation_faults
from btcore.testing.conformance.sinks import Stored, full_batch, sink_faults
from btcore.testing.conformance.sources import polled_faults, source_faults, use_source
from btcore.testing.conformance.subject import Subject, installed_plugin, own_settings
from btcore.testing.kit.guard import NETWORK, watching
from btcore.testing.kit.hosted_service import HostedService
from btcore.text import describe_error
from btcore.values.declarations import class_faults


def conforms(
    plugin: object,
    settings: Mapping[str, object] | None = None,
    *,
    service: HostedService | None = None,
    stored: Stored | None = None,
    packets: Sequence[bytes] = (),
    varies: str = "",
) -> None:
    """Look at a plugin: its class, an instance of it, or its name if it is installed. Raises DoesNotConform.

    `settings` are those of its table, as a site.toml has them: what is required and not given is invented. `service` is
    the hosted service that one of them is the address of; it answers as the real one does when all is well. Without it,
    a setting `url` gets the address of one that answers 200 to everything. `stored` returns what the sink has stored by
    now (rows, files), to see that the same batch is stored once. `packets` are intact packets of a decoder. `varies` is
    a regular expression for what of a request is another each time, such as a number that the service asks for.

    What is looked at: settings have help, and defaults that are valid; nothing is opened before `open`, and nothing is
    left after `close`; `check` needs no network; each answer of a service is classified; the same batch twice is stored
    once; no secret is in a repr, a log line or an error; numbers may be None; a source stops; a decoder is pure. No
    connection leaves this machine. It takes a few seconds.
    """
    faults = find_faults(plugin, settings, service=service, stored=stored, packets=packets, varies=varies)
    if faults:
        raise DoesNotConform(_name(plugin), faults)


def find_faults(
    plugin: object,
    settings: Mapping[str, object] | None = None,
    *,
    service: HostedService | None = None,
    stored: Stored | None = None,
    packets: Sequence[bytes] = (),
    varies: str = "",
) -> tuple[Fault, ...]:
    """Return all that `conforms` finds wrong."""
    try:
        found = installed_plugin(plugin)
        cls = found.load()
    except PluginError as error:
        return (Fault("declaration", str(error)),)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conforms-", ignore_cleanup_errors=True)))
        served = service or stack.enter_context(HostedService())
        declared = _declared(cls)
        if any("its body is never run" in fault.text for fault in declared):
            return declared  # there is nothing more to see
        try:
            subject = Subject(
                cls=cls,
                name=found.name.lower(),
                given=settings or {},
                own=own_settings(plugin),
                folder=folder,
                service=served,
            )
        except Exception as error:  # noqa: BLE001 - a stranger's annotations, defaults and validators
            advice = "give the settings of a table that works to `conforms`"
            wrong = Fault("settings", f"its settings cannot be made: {describe_error(error)}; {advice}")
            return declared or (wrong,)
        return (*declared, *_faults(subject, stored, packets, varies))


def _name(plugin: object) -> str:
    if isinstance(plugin, str):
        return plugin
    return (plugin if isinstance(plugin, type) else type(plugin)).__name__


def _declared(cls: type) -> tuple[Fault, ...]:
    try:
        return tuple(Fault("declaration", text) for text in class_faults(cls, core_settings))
    except BaseException as error:
        if is_interrupt(error):
            raise
        return (Fault("declaration", f"its settings cannot be read: {describe_error(error)}"),)


def _faults(subject: Subject, stored: Stored | None, packets: Sequence[bytes], varies: str) -> Iterator[Fault]:
    faults: list[Fault] = []
    output = Output(frozenset(subject.secrets))
    caller = Caller(output)
    outside = watching(NETWORK, local_only=True, everywhere=True)
    with outside, caller.recording(), unchanged_process(faults), _until_it_hangs(faults):
        yield from (made := list(creation_faults(subject, caller)))
        if any("cannot be made" in fault.text for fault in made):
            return
        yield from check_faults(subject, caller)
        yield from extra_faults(subject, caller)
        kinds = kinds_of(subject.cls)
        if "sink" in kinds:
            failed = False
            for fault in sink_faults(subject, caller, stored, varies):
                failed = True
                yield fault
            if subject.is_hosted:
                yield from answer_faults(subject, caller, must_send=not failed)
        if "source" in kinds:
            faults += source_faults(subject, caller)
            if subject.is_hosted and not faults:
                faults += polled_faults(subject, caller)
        if "decoder" in kinds:
            yield from decoder_faults(subject, caller, packets)
        for kind in [] if faults or made else kinds:  # what was opened too early, or hangs, would be found once more
            yield from closing_faults(subject, partial(_use, kind, subject, caller))
    yield from (*faults, *output.faults())


@contextmanager
def _until_it_hangs(faults: list[Fault]) -> Iterator[None]:
    try:
        yield
    except Hangs as error:
        faults.append(Fault("outcome", str(error)))


def _use(kind: Kind, subject: Subject, caller: Caller, instance: Any) -> None:  # noqa: ANN401 - a plugin's instance
    """Open an instance, let it work, and close it."""
    if kind == "source":
        use_source(instance, subject, caller)
        return
    with caller.using(instance) as opened:
        if opened.open(subject.context(kind)).answer == "delivered" and kind == "sink":
            opened.process(full_batch())
