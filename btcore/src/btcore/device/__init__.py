# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter itself: what its commands are, what their answers mean, and the conversation that reads or changes it.

Codecs (`gem.py`, `ecm.py`) are pure; a conversation is given a line to send and receive on, by the core's `Commands`.
`heard.py` keeps on which stream a meter is. Packets are not decoded here, and no line is opened.
"""
