# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a site that does not run, for commands that look into it: its journal, one of its sources."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event

from btcore.config.site import Site, Source, context_of
from btcore.decode.decoders import Decoders
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.journal.memory import MemoryJournal
from btcore.mending.commands import Mending
from btcore.runtime import state_directory
from btcore.runtime.supervisor import open_site_journal
from btcore.sources.worker import SourceWorker

SOURCE_STOP_TIMEOUT = 10.0
"""Seconds that a source may take to stop after a command that opened it itself."""


@contextmanager
def mending_at_rest(site: Site, *, may_create: bool = False) -> Iterator[Mending]:
    """Mend a site that does not run: what is asked for is kept in its journal. Raises Unavailable."""
    with journal_at_rest(site, may_create=may_create) as journal:
        yield Mending(journal, lambda: site, list, Event())


@contextmanager
def journal_at_rest(site: Site, *, may_create: bool = False) -> Iterator[Journal]:
    """Open the journal of a site that does not run, and hold the lock meanwhile. Raises Unavailable.

    Nothing is made that is not there, unless it may be created: then a site that has never run has a journal after it.
    """
    if not may_create and not state_directory.is_used(site.state):
        raise Unavailable(f"btcore has not run with {site.file} yet: there is no journal in {site.state}")
    state_directory.check(site.state, site.file)
    held = state_directory.lock(site.state)
    try:
        if may_create:
            _claim(site)
        journal = open_site_journal(site, must_exist=not may_create)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        os.close(held)


def _claim(site: Site) -> None:
    try:
        state_directory.claim(site.state, site.file)
    except OSError as error:
        raise Unavailable(f"cannot use the state directory {site.state}: {error.strerror}") from None


@contextmanager
def source_at_rest(site: Site, source: Source) -> Iterator[SourceWorker]:
    """Run one source of a site that does not run, for its meters to be asked. What they send meanwhile is not kept.

    Raises Unavailable. The lock of the state directory is held, if there is one, so that no `run` fights for the line.
    """
    stop = Event()
    with ExitStack() as opened:
        if site.state.is_dir():
            opened.callback(os.close, state_directory.lock(site.state))
        instances = [one.instance for one in site.decoders]
        contexts = [context_of(site, one) for one in site.decoders]
        decoders = Decoders(instances, source.formats, contexts, name_meter=site.meters.current_serial)
        worker = SourceWorker(source, MemoryJournal(), decoders, context_of(site, source), stop)
        worker.thread.start()
        opened.callback(worker.thread.join, SOURCE_STOP_TIMEOUT)
        opened.callback(stop.set)
        yield worker
