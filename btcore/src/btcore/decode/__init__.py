# SPDX-License-Identifier: GPL-3.0-or-later
"""From bytes to readings: finding packets in a stream, their formats, and the rest of a meter's protocol.

Pure: no socket, clock, thread or file. A format is a table. Energy and power are calculated in the wing `calculate`;
plugins bring the bytes.
"""
