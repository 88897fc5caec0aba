# SPDX-License-Identifier: GPL-3.0-or-later
"""btmon-pvoutput: sends what a house generates and consumes to PVOutput, for btcore."""
