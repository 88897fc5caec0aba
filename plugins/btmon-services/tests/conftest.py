# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all services share."""

from collections.abc import Iterator

import pytest

from btcore.testing import HostedService


@pytest.fixture
def server() -> Iterator[HostedService]:
    """Run a service that takes everything."""
    with HostedService() as running:
        yield running
