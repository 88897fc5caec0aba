# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all services share."""

from collections.abc import Iterator

import pytest
from servers.recorder import Recorder


@pytest.fixture
def server() -> Iterator[Recorder]:
    """Run a service that takes everything."""
    with Recorder() as running:
        yield running
