"""The journal of a site that does not run, for commands that look into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from btcore.config.site import Site
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.mending.commands import Mending
from btcore.replay.requests import Requests
from btcore.runtime import state_directory
from btcore.runtime.supervisor import open_site_journal


@contextmanager
def mending_at_rest(site: Site) -> Iterator[Mending]:
    """Mend a site that does not run: what is asked for is kept in its journal. Raises Unavailable."""
    with journal_at_rest(site) as journal:
        requests = {sink.table: Requests(journal, sink.table) for sink in site.sinks}
        yield Mending(site, journal, requests, {}, Event())


@contextmanager
def journal_at_rest(site: Site) -> Iterator[Journal]:
    """Open the journal of a site that does not run, and hold the lock meanwhile. Raises Unavailable.

    Nothing is made that is not there.
    """
    if not state_directory.is_used(site.state):
        raise Unavailable(f"btcore has not run with {site.file} yet: there is no journal in {site.state}")
    state_directory.check(site.state, site.file)
    held = state_directory.lock(site.state)
    try:
        journal = open_site_journal(site, must_exist=True)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        os.close(held)
