"""From readings to samples: power and energy, of two readings of one meter or over an interval.

Pure: the same readings give the same samples, in a run as in a replay. Here is also what tells which readings belong
together: a meter that restarts, whose counters wrap, or that shares its serial number with another.
"""
