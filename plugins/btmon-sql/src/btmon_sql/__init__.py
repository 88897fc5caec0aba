# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-sql: stores readings in a database that a URL names, for btcore."""
