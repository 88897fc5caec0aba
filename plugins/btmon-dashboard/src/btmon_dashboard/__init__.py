# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-dashboard: pages that show what the meters measure, now and in the past, for btcore."""
