# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual channels: channels that no meter has, calculated of others by an expression of [channels].

A virtual channel is a meter of its own, by the name of the channel. Its readings are in the journal beside those of the
meters, so every sink gets them as it gets any other: with intervals, lifetimes and replays. What it has counted is
exactly what its parts counted.

`expressions.py` reads an expression, `timeline.py` brings the parts to common intervals, `counting.py` counts,
`following.py` makes readings of readings, and `collector.py` is the source that reads the journal.
"""
