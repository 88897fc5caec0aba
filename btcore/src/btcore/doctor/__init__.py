# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a site, and what to do: `btcore doctor`. One room a kind of finding.

`facts.py` has the records of what is known about a site; the rooms of findings are pure functions of them.
`gathering.py` gets the facts, from a running program or by listening; `plugins.py` asks the plugins. Each code has a
heading in docs/doctor.md. Nothing here changes anything, and no reading is lost by it.
"""
