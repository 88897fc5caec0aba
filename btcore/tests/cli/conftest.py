# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the commands share."""

from pathlib import Path

import pytest
from helpers.decode_command import Write, capture_writer


@pytest.fixture
def capture(tmp_path: Path) -> Write:
    """Return a function that writes a capture: plain bytes, or lines of (time, stream, bytes)."""
    return capture_writer(tmp_path)
