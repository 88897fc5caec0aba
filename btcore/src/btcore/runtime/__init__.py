"""A run as a whole: what starts the workers, watches them, tells how they do, and ends them.

What one source or one sink does is in the wings `sources` and `sinks`.
"""
