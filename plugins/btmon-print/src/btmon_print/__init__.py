# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-print: prints what the meters measure, for btcore."""
