# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds an implementation to its contract: for whoever writes another journal.

`journal.py` and `journal_machine.py` have the contract of a journal as tests. They need pytest and hypothesis, which
btcore itself does not: nothing of btcore imports this wing. Helpers of btcore's own tests do not belong here.
"""
