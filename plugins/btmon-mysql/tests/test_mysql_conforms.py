# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plugin holds for the sink and the source of MySQL, with a server."""

from typing import TYPE_CHECKING

import pytest

from btcore.testing import conforms

if TYPE_CHECKING:
    from conftest import Energy

pytestmark = pytest.mark.servers


def test_it_conforms(energy: "Energy") -> None:
    """It does all that a sink and a source have to, and stores the same batch once."""
    conforms("mysql", energy.settings(), stored=energy.count)
