# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting, as `btcore.testing` has it, by the names that this project's own tests use."""

from btcore.testing.kit.waiting import PATIENCE, in_background, wait_for

__all__ = ["PATIENCE", "in_background", "wait_for"]
