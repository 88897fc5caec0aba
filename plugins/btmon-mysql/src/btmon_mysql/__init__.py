# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-mysql: stores readings in a MySQL or MariaDB database, for btcore."""
