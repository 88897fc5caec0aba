"""The journal of a site that does not run, for commands that look into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from btcore.config.site import Site
from btcore.errors import Unavailable
from btcore.journal import Journal
from btcore.journal.sqlite import SqliteJournal
from btcore.runtime import state_directory
from btcore.runtime.supervisor import JOURNAL


@contextmanager
def journal_at_rest(site: Site) -> Iterator[Journal]:
    """Open the journal of a site that does not run, and hold the lock meanwhile. Raises Unavailable.

    Nothing is made that is not there.
    """
    if not (site.state / JOURNAL).exists():
        raise Unavailable(f"btcore has not run with {site.file} yet: there is no journal in {site.state}")
    state_directory.check(site.state, site.file)
    held = state_directory.lock(site.state)
    try:
        journal = SqliteJournal(site.state / JOURNAL, site.max_journal_bytes)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        os.close(held)
