"""The journal of a site that does not run, for commands that look into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from btcore.config.site import Site
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.runtime import state_directory
from btcore.runtime.supervisor import open_site_journal


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
