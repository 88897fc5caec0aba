# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of `btcore.testing`, by the name that this project's own tests use."""

from btcore.testing.kit.clocks import Clock

__all__ = ["Clock"]
