# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-rrd: stores readings in RRD files, reads them back and draws them, for btcore."""
