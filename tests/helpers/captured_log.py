# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log told a test."""

import logging

import pytest


def logged(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return what was told at a level and above."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]
