# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of sinks: each reads the journal from its own offset and delivers it to one sink.

Here are the calls and their retries, the offset that moves behind what was delivered, the bounds of the backlog, and
the dead letters: what a sink will never take.
"""
