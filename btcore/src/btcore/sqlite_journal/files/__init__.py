# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the SQLite journal: where they are, how they are built, and whether they are as they were written.

What the records in them mean, and what is done about damage, does not belong here.
"""
