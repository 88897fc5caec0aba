# SPDX-License-Identifier: GPL-3.0-or-later
"""From readings to samples: power and energy, between two readings of one meter or over an interval.

Pure: the same readings give the same samples, in a run as in a replay. Which readings belong together is decided here
too: a meter may restart, its counters may overflow, and two meters may send the same serial number.
"""
