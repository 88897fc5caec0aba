# SPDX-License-Identifier: GPL-3.0-or-later
"""A run: what starts the workers, watches them, reports on them, and ends them.

What one source or one sink does is in the wings `sources` and `sinks`.
"""
