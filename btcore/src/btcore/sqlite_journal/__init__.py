# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal in a SQLite file: entry point `sqlite` of the group `btcore.journals`, and the only one on a disk so far.

Its contract is `btcore.journal`; nothing outside of this folder knows that there are files. `journal.py` keeps the
contract, `gathering.py` decides when something is committed, `mending.py` what is done about damage. Each file by
itself is in `files`, what is in the tables in `tables`.
"""
