# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixtures of `btcore.testing`, which pytest finds by itself where btcore is installed.

pytest imports this module in every run of that environment, whatever it tests: so it imports nothing of btcore before a
fixture is asked for, and is outside the package, which would be imported with it.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from btcore.journal import Journal
    from btcore.testing import Clock, HostedService


@pytest.fixture
def hosted_service() -> "Iterator[HostedService]":
    """Run a hosted service on this machine, which answers 200 to everything until it is told otherwise."""
    from btcore.testing import HostedService  # noqa: PLC0415 - see above

    with HostedService() as service:
        yield service


@pytest.fixture
def btcore_clock() -> "Clock":
    """Return a clock that stands still until it is set, or until somebody waits with it."""
    from btcore.testing import Clock  # noqa: PLC0415 - see above

    return Clock()


@pytest.fixture
def btcore_journal(tmp_path: Path) -> "Iterator[Journal]":
    """Return an empty journal, in a folder of the test."""
    from btcore.journal.opening import DEFAULT, open_journal  # noqa: PLC0415 - see above

    with closing(open_journal(DEFAULT, tmp_path)) as journal:
        yield journal
