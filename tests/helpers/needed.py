# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test needs of the computer. Where it is missing the test is skipped; in CI, which installs all, it fails."""

import os

import pytest


def need(missing: str) -> None:
    """Skip the test where something is missing, with the line that installs it; in CI fail. "" is: nothing is."""
    if missing and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)


def needs(missing: str) -> pytest.MarkDecorator:
    """Return the mark of tests that do so; in CI they run, and what is missing fails them."""
    return pytest.mark.skipif(bool(missing) and not os.environ.get("CI"), reason=missing)
