"""The log: what is written of a run, and how often.

Here is all that a line passes on its way to stderr, and what keeps a log small that runs for years: failures that are
summed up, things that are counted. What is said, and when, is decided by whoever says it.
"""
