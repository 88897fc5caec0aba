# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the tables of the SQLite journal: how it is read and written by a connection that is open.

Who locks, what a transaction is, and when it is committed does not belong here.
"""
