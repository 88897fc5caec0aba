# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore check --create`: let each sink create what it stores into. What that is, is the plugin's `create_storage`."""

from btcore.config.site import Sink, Site, context_of
from btcore.decode.brultech import FORMATS
from btcore.errors import BtcoreError, Unavailable, is_interrupt
from btcore.formats import Format, packet_formats
from btcore.hook_calls import hook_caller
from btcore.text import describe_error

NOTHING = "nothing had to be created"


def create_all(site: Site) -> list[str]:
    """Create what all sinks store into; return what was done, a line each. Raises Unavailable with what failed."""
    done: list[str] = []
    failed: list[str] = []
    for sink in site.sinks:
        try:
            done += [f"{sink.table}: {line}" for line in _create(site, sink)]
        except BaseException as error:
            if is_interrupt(error):
                raise
            failed.append(f"{sink.table}: {_why(error)}")
    if failed:
        raise Unavailable("; ".join([*failed, *done]))
    return done


def formats_of(site: Site) -> tuple[Format, ...]:
    """Return the packet formats that the sources are set to take in; none where one of them takes in all."""
    known = dict(FORMATS)
    for decoder in site.decoders:
        known |= {one.name: one for one in packet_formats(decoder.instance) or ()}
    if not all(source.formats for source in site.sources):
        return ()
    names = dict.fromkeys(name for source in site.sources for name in source.formats)
    return tuple(known[name] for name in names if name in known)


def _create(site: Site, sink: Sink) -> list[str]:
    calls = hook_caller(sink.instance)
    try:
        created = calls.create_storage(context=context_of(site, sink), formats=formats_of(site))
        return [] if created is None else list(map(str, created)) or [NOTHING]
    finally:
        if hasattr(sink.instance, "create_storage"):
            calls.close()


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, BtcoreError) else describe_error(error)
