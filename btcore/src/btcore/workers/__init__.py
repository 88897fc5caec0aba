# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of a run: made for a site, started, replaced when its configuration changes, watched and reported on.

What one source or one sink does is in the wings `sources` and `sinks`; the run around them is in `runtime`.
"""
