# SPDX-License-Identifier: GPL-3.0-or-later
"""The log: what is written about a run, and how often.

Here is everything that a line passes on its way to stderr, and what keeps the log of years small: failures are
summarized, repeated messages are counted. What is logged, and when, is decided by the caller.
"""
