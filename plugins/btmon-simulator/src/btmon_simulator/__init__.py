# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources for btcore that need no meter: `simulator`, a plausible house, and `file`, a capture played again."""
