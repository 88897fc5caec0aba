# SPDX-License-Identifier: GPL-3.0-or-later
"""What is delivered again: what a person asked for, and which steps of the journal that is.

Here are the requests, which outlast a kill, and the reading of the journal's history for them. Nothing here calls a
sink: that is done by the sink's own worker (`sinks/redelivery.py`), between its live deliveries.
"""
