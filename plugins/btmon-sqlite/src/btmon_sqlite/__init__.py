# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-sqlite: stores readings in an SQLite file, for btcore."""
